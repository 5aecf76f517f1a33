// retail/goals.h - draws what a simulated customer wants, from what the shop's data make possible.
#pragma once

#include <cstddef>
#include <vector>

#include "base/rng.h"
#include "retail/customer.h"
#include "retail/policy.h"
#include "retail/world.h"

namespace metier::retail {

// A customer with one or two goals. Everything refers to the split's customers, orders and
// products.
struct Part {
  Persona persona;
  std::vector<Goal> goals;
};

class GoalMaker {
 public:
  // Borrows the world.
  GoalMaker(const World& world, Split split);

  // What the customer of this number wants first. Dealt from a shuffled deck that holds each
  // request as often as it should be met, then the next deck: few dialogues have the same shares as
  // many.
  Request Deal(std::uint64_t seed, std::uint64_t index) const;

  // With this request as the first goal.
  Part Draw(Request request, Rng& rng) const;

 private:
  struct Place {
    std::size_t order = 0;
    std::size_t line = 0;
  };

  Goal Make(Request request, const std::vector<Place>& places, Rng& rng, Place& chosen) const;
  // Where a request can be made; `turn` (0 to 9) picks between what succeeds and what is refused.
  std::vector<Place> Places(Request request, std::uint64_t turn) const;
  bool Fits(Request request, std::uint64_t turn, const Order& order, const OrderLine& line) const;
  void AddOptionOrReason(Goal& goal, const Place& place, std::uint64_t turn, Rng& rng) const;
  void AddNewAddress(Goal& goal, std::size_t customer, Rng& rng) const;
  Goal MakePublic(Request request, Rng& rng) const;
  Persona DrawPersona(const Place& place, const Goal& goal, Rng& rng) const;
  void AddSecondGoal(Part& part, const Place& first, Rng& rng) const;
  bool IsListed(const Place& place) const;

  const World& world_;
  Split split_;
  std::vector<std::size_t> orders_;    // of the split
  std::vector<std::size_t> variants_;  // of the split
};

}  // namespace metier::retail
