#include "retail/letters.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "retail/catalogue.h"
#include "retail/generate.h"
#include "retail/synonyms.h"
#include "retail/typos.h"

namespace metier::retail {
namespace {

struct Subject {
  std::string_view section;
  std::string_view words;
};

// Reasons and some subjects have the names that the shop's records use for them.
constexpr Subject kSubjects[] = {{"open/where_is", "where it is"},
                                 {"open/cancel", "cancel it"},
                                 {"open/change_address", "new address"},
                                 {"open/return", "send it back"},
                                 {"open/exchange", "swap it"},
                                 {"open/damaged", "damaged"},
                                 {"open/missing", "missing"},
                                 {"open/faulty", "faulty"},
                                 {"open/price_drop", "price_drop"},
                                 {"open/loyalty", "loyalty"},
                                 {"info/stock", "is it there"},
                                 {"info/price", "what it costs"},
                                 {"info/warranty", "how long the warranty is"},
                                 {"info/material", "what it is made of"},
                                 {"info/options", "colours and sizes"},
                                 {"search/plain", "looks for it"},
                                 {"search/colour", "looks for it"},
                                 {"search/price", "looks for it"},
                                 {"search/both", "looks for it"},
                                 {"open/out_of_scope", "not our business"},
                                 {"open/human", "customer_request"},
                                 {"open/safety", "safety"},
                                 {"open/legal", "legal"},
                                 {"open/compensation", "wants money for trouble"},
                                 {"open/account", "the account"},
                                 {"open/others_data", "asks about others"},
                                 {"open/rule_break", "wants an exception"}};

constexpr Subject kWhy[] = {{"cancel_reason/changed_mind", "changed_mind"},
                            {"cancel_reason/ordered_by_mistake", "ordered_by_mistake"},
                            {"cancel_reason/found_cheaper", "found_cheaper"},
                            {"cancel_reason/too_slow", "too_slow"},
                            {"return_reason/too_small", "too_small"},
                            {"return_reason/too_big", "too_big"},
                            {"return_reason/not_as_described", "not_as_described"},
                            {"return_reason/changed_mind", "changed_mind"}};

constexpr Subject kWants[] = {{"wish/money", "the money"}, {"wish/same", "the same again"}};

constexpr Subject kLacks[] = {{"say/no_email", "the e-mail"}, {"say/no_order_id", "the order"}};

void Append(std::string_view section, const Slots& slots, Scene& scene,
            std::vector<Piece>& letter) {
  Phrase phrase = PhraseBook::Ours().Pick(section, scene.split(), slots, scene.rng());
  if (!letter.empty()) letter.push_back({" ", false});
  Piece& first = phrase.pieces.front();
  if (!first.fixed) first.text = Capitalised(std::move(first.text));
  for (Piece& piece : phrase.pieces) letter.push_back(std::move(piece));
}

// Phrases learnt by heart are of no use: what a letter is about must be found in other words for
// the same, and in what is left of them, mistyped and in small letters.
void Roughen(Scene& scene, std::vector<Piece>& letter) {
  SwapSynonyms(0.4 * scene.rng().Uniform(), scene.rng(), letter);
  if (Chance(0.4, scene.rng())) return;
  std::vector<Piece> rough = letter;
  DropWords(0.2 * scene.rng().Uniform(), scene.rng(), rough);
  AddTypos(0.1 * scene.rng().Uniform(), scene.rng(), rough);
  if (Chance(0.2, scene.rng())) MakeTerse(rough);
  const bool says_something = std::any_of(rough.begin(), rough.end(), [](const Piece& piece) {
    return piece.text.find_first_not_of(" .,:;!?") != std::string::npos;
  });
  if (says_something) letter = std::move(rough);  // a short one may have lost every word
}

// What belongs to some subjects: where to, in which version, what to look for.
void Details(std::string_view section, const Slots& slots, Scene& scene, std::vector<Piece>& letter,
             Json& details) {
  if (section == "open/change_address" && Chance(0.5, scene.rng())) {
    Append("address/new", slots, scene, letter);
    details = AddressDetails(slots);
  }
  for (const std::string_view reason : {"damaged", "missing", "faulty", "price_drop"}) {
    if (section == "open/" + std::string(reason)) details["reason"] = reason;
  }
  if (section == "open/exchange" && Chance(0.5, scene.rng())) {
    Append("option/want", slots, scene, letter);
    details["option"] = slots.at("option");
  }
  if (section.substr(0, section.find('/')) == "search") details["kind"] = slots.at("kind");
  if (section == "search/colour" || section == "search/both") {
    details["colour"] = slots.at("colour");
  }
  if (section == "search/price" || section == "search/both") {
    details["max_price"] = std::stoi(slots.at("max_price"));
  }
}

std::string Join(const std::vector<Piece>& pieces) {
  std::string text;
  for (const Piece& piece : pieces) text += piece.text;
  return text;
}

}  // namespace

Json AddressDetails(const Slots& slots) {
  return {{"street", slots.at("street")},
          {"city", slots.at("city")},
          {"new_postcode", slots.at("new_postcode")}};
}

std::string AnyOption(std::string_view kind_name, Scene& scene) {
  const Kind& kind = *FindKind(kind_name);
  std::string option = PickOne(kind.colours, scene.rng());
  if (!kind.sizes.empty()) option += ", " + PickOne(kind.sizes, scene.rng());
  return option;
}

void ReferTo(Slots& slots, Scene& scene) {
  const auto reference = [&](std::string_view section) {
    return PhraseBook::Ours().Pick(section, scene.split(), slots, scene.rng()).Text();
  };
  slots["order"] = reference(Chance(0.6, scene.rng()) ? "ref/order" : "ref/order_unsaid");
  slots["item"] = slots["thing"];
  slots["item"] = reference(Chance(0.7, scene.rng()) ? "ref/item" : "ref/item_unsaid");
}

Slots LetterSlots(Scene& scene) {
  Slots slots = scene.Draw();
  slots["full_name"] = scene.First() + " " + scene.Last();
  slots["max_price"] = std::to_string(5 * scene.Number(1, 60));
  slots["new_postcode"] = scene.Postcode();
  slots["option"] = AnyOption(slots["kind"], scene);
  slots["thing"] = slots["item"];
  ReferTo(slots, scene);
  return slots;
}

std::string Typed(std::string_view section, const Slots& slots, Scene& scene) {
  std::vector<Piece> pieces;
  Append(section, slots, scene, pieces);
  Roughen(scene, pieces);
  return Join(pieces);
}

Letter WriteLine(const Slots& slots, Scene& scene) {
  const std::uint64_t kind = scene.rng().Below(10);
  if (kind >= 5 && kind < 9) {
    const Subject& why = Any(kWhy, scene);
    return {Typed(why.section, slots, scene), Json::object(), {{"reason", why.words}}};
  }
  const Subject& subject = kind < 5 ? Any(kSubjects, scene) : Any(kWants, scene);
  const char* key = kind < 5 ? "about" : "wants";
  return {Typed(subject.section, slots, scene), {{key, subject.words}}, Json::object()};
}

Letter WriteLetter(const Slots& slots, Scene& scene) {
  static constexpr std::string_view kMoods[] = {"mood/polite", "mood/upset", "mood/chatty",
                                                "mood/hurried"};
  Letter letter;
  std::vector<Piece> pieces;
  const auto add = [&](Json& to, const char* key, const Subject& subject) {
    to[key] = subject.words;
    Append(subject.section, slots, scene, pieces);
  };
  if (Chance(0.25, scene.rng())) Append(Any(kMoods, scene), slots, scene, pieces);
  const bool subject = Chance(0.75, scene.rng());
  if (subject) {
    const Subject& about = Any(kSubjects, scene);
    add(letter.judged, "about", about);
    Details(about.section, slots, scene, pieces, letter.details);
  }
  if (!subject || Chance(0.25, scene.rng())) {
    add(letter.details, "reason", Any(kWhy, scene));
  }
  if (Chance(0.15, scene.rng())) add(letter.judged, "wants", Any(kWants, scene));
  if (Chance(0.1, scene.rng())) {
    add(letter.judged, "lacks", Any(kLacks, scene));
  } else if (Chance(0.4, scene.rng())) {
    Append("say/identity", slots, scene, pieces);
  }
  Roughen(scene, pieces);
  letter.text = Join(pieces);
  return letter;
}

}  // namespace metier::retail
