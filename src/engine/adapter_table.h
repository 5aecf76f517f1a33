// engine/adapter_table.h - a backend's adapters, its mixtures of them, and what sequences were
// routed to.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/lora.h"
#include "engine/mixture.h"
#include "engine/weights.h"
#include "model/backend.h"

namespace metier::engine {

class AdapterTable {
 public:
  // Borrows the weights. Factors become `type`.
  AdapterTable(const Weights& weights, kernels::FactorType type) : weights_(weights), type_(type) {}

  // Errors of this class: kInvalidArgument, as model::Backend says.
  Result<model::AdapterId> Add(const model::Adapter& adapter);
  Result<model::AdapterId> AddMixture(const model::AdapterMixture& mixture,
                                      std::span<const model::AdapterId> experts);
  // What a sequence with this choice of each router is opened with; the same id for the same
  // choice. Requires a mixture by sequence.
  model::AdapterId AddRouted(model::AdapterId mixture, const std::vector<RowChoice>& choices);

  // What the mixture chose, but for its `newest` choices; oldest first. Requires such a mixture.
  std::vector<model::AdapterId> OldRoutes(model::AdapterId mixture, std::size_t newest) const;

  // nullptr: unknown, or kNone. Stays where it is until it is removed.
  const LoadedAdapter* Find(model::AdapterId adapter) const;
  // The mixture that chooses for whole sequences.
  Result<std::shared_ptr<const LoadedMixture>> FindBySequence(model::AdapterId adapter) const;
  // An adapter to open sequences with, or kNone.
  Status CheckUsable(model::AdapterId adapter) const;

  // Whoever asks has seen that no sequence uses it.
  Status CheckRemovable(model::AdapterId adapter) const;
  void Remove(model::AdapterId adapter);

 private:
  struct Entry {
    LoadedAdapter loaded;
    std::vector<model::AdapterId> needs = {};  // a mixture's experts, a routed one's mixture
    // Of a mixture by sequence: what was chosen, experts and weights as bits.
    std::map<std::vector<std::uint32_t>, model::AdapterId> routed = {};
  };
  Result<const Entry*> FindEntry(model::AdapterId adapter) const;
  model::AdapterId Insert(Entry entry);

  const Weights& weights_;
  kernels::FactorType type_;
  std::map<model::AdapterId, Entry> entries_;
  std::int64_t next_ = 0;
};

}  // namespace metier::engine
