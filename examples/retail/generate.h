// retail/generate.h - makes the shop: catalogue, people, orders; the same world for the same
// options.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/rng.h"
#include "retail/world.h"

namespace metier::retail {

struct WorldOptions {
  std::uint64_t seed = 1;
  int skus = 500;
  int customers = 3000;
  int orders = 10000;
  int today = 20777;  // 2026-11-20
};

// kInvalidArgument: a count too small for three splits (100 SKUs, 30 customers, 100 orders) or
// more than half of the numbers that ids have (4,500 SKUs and customers, 45,000 orders).
Result<World> MakeWorld(const WorldOptions& options);

// The parts, in the order in which they depend on one another. Each draws from its own stream of
// the seed, so that a change of one leaves the others as they are.
void MakeCatalogue(const WorldOptions& options, World& world);
void MakeCustomers(const WorldOptions& options, World& world);
void MakeOrders(const WorldOptions& options, World& world);
void MakeReviews(const WorldOptions& options, World& world);

// Unique numbered names: a prefix and a random number of `digits` digits without a leading zero.
class IdPool {
 public:
  IdPool(std::string prefix, int digits);
  std::string Next(Rng& rng);

 private:
  std::string prefix_;
  std::uint64_t low_ = 1;
  std::set<std::uint64_t> used_;
};

// A uniform element of a non-empty list.
template <class List>
const auto& PickOne(const List& list, Rng& rng) {
  return list[rng.Below(list.size())];
}

template <class Element>
void Shuffle(std::vector<Element>& values, Rng& rng) {
  for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[rng.Below(i)]);
}

// A uniform whole number of [low, high].
int Between(int low, int high, Rng& rng);

// Pronounceable, in small letters, and not rude.
std::string InventedWord(Rng& rng);
// Whether it has something in it that nobody wants to read. The word is in small letters.
bool Rude(std::string_view word);
bool IsLetter(char c);  // of ASCII
// ASCII letters made small.
std::string Lower(std::string_view text);

// True with the given probability.
bool Chance(double probability, Rng& rng);

// The split of the i-th product or customer: seven of ten train, two test, one valid, spread so
// that every kind of product has a training product.
Split SplitOfPlace(std::size_t index);

}  // namespace metier::retail
