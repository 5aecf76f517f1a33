// retail/letters.h - letters to a shop in the base corpus, and what they are about; what is done
// about them, the corpus does not know.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "retail/phrasebook.h"
#include "retail/scene.h"

namespace metier::retail {

struct Letter {
  std::string text;
  Json judged = Json::object();  // {"about", "wants", "lacks"}, each where it says it
  // {"reason"}, {"option"}, {"kind", "colour", "max_price"}, {"street", "city", "new_postcode"},
  // likewise
  Json details = Json::object();
};

// A letter in the words that customers use. `slots` are its facts, see LetterSlots; not all of them
// need be said.
Letter WriteLetter(const Slots& slots, Scene& scene);

// One sentence that says what it is about, for which reason, or what is wanted; nothing else is
// noted of it.
Letter WriteLine(const Slots& slots, Scene& scene);

// The slots of every phrase of customers; "order" and "item" are references, which may leave the
// number or the name unsaid.
Slots LetterSlots(Scene& scene);
// Draws the references anew.
void ReferTo(Slots& slots, Scene& scene);

// {"street", "city", "new_postcode"}: where to.
Json AddressDetails(const Slots& slots);

// A version that things of this kind come in: "green, 35 l". Requires that there is such a kind.
std::string AnyOption(std::string_view kind, Scene& scene);

// A phrase as somebody types it: words lost, slips, small letters.
std::string Typed(std::string_view section, const Slots& slots, Scene& scene);

}  // namespace metier::retail
