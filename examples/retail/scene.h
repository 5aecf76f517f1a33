// retail/scene.h - invented people, things and numbers for the base corpus.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "retail/phrasebook.h"
#include "retail/spellings.h"
#include "retail/world.h"

namespace metier::retail {

class Scene;

// Something that people and things have: its name in text, its key in JSON, and a random value.
struct Field {
  std::string_view words;
  std::string_view key;
  std::string (Scene::*draw)();
};
std::span<const Field> Fields();

// Draws names from a split's banks, and ids, prices and e-mail addresses that are new each time.
class Scene {
 public:
  // Borrows the generator, and the spellings if there are any: then many words and names are
  // invented of them.
  Scene(Split split, Rng& rng, const Spellings* spellings = nullptr)
      : split_(split), rng_(rng), spellings_(spellings) {}

  std::string First();
  std::string Last();
  std::string City();
  std::string Street();  // with a number
  std::string Email();
  std::string Postcode();
  std::string OrderId();
  std::string Sku();
  std::string CustomerId();
  std::string Item();  // "Alder kettle"
  std::string Price();
  std::string Word();                          // invented, and not rude
  std::string Identifier();                    // as programs have them: "list_by_day"
  std::vector<std::string> People(int count);  // first names, all different
  const Field& AnyField();
  std::string Value(const Field& field);
  int Number(int low, int high);

  // All slots of data/corpus.txt, drawn once.
  Slots Draw();

  Rng& rng() { return rng_; }
  Split split() const { return split_; }

 private:
  std::string From(std::string_view section);
  std::string Name(std::string_view section);
  std::string Item(std::string_view kind);
  std::string Id(int low, int high);

  Split split_;
  Rng& rng_;
  const Spellings* spellings_;
};

// One of the options, each as likely as the others.
template <class Element, std::size_t size>
const Element& Any(const Element (&options)[size], Scene& scene) {
  return options[scene.rng().Below(size)];
}

}  // namespace metier::retail
