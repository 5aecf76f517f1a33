// engine/mixture.h - a mixture of loaded adapters: which router chooses for which linear, and what
// a row's choice is (model/mixture.h says what is computed).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/lora.h"
#include "engine/weights.h"
#include "model/mixture.h"

namespace metier::engine {

// What routers read and route: the linears of attention and of dense feed-forwards.
bool IsRoutable(std::string_view linear);

// Experts of one row, and their weights; a mixture's first top_k() of each are meant.
struct RowChoice {
  static constexpr std::size_t kMost = 8;
  std::array<std::int32_t, kMost> experts = {};
  std::array<float, kMost> weights = {};
};

// Immutable once made. Borrows its experts.
class LoadedMixture {
 public:
  struct Router {
    tensor::Tensor weight;  // [experts, in]
    tensor::Tensor bias;    // [experts]
    std::int64_t layer = 0;
    std::size_t slot = 0;  // counts the routers of its layer
  };

  // kInvalidArgument: as model::Backend::AddMixture says.
  static Result<LoadedMixture> Create(const model::AdapterMixture& mixture,
                                      std::span<const LoadedAdapter* const> experts,
                                      const Weights& weights);

  model::RouteBy by() const { return by_; }
  std::size_t experts() const { return experts_.size(); }
  std::size_t top_k() const { return static_cast<std::size_t>(choice_.top_k); }
  std::span<const Router> routers() const { return routers_; }

  // Those that read the input of this linear.
  std::span<const std::size_t> RoutersReading(const Linear& linear) const {
    return reading_[linear.index];
  }
  // The one whose choice holds for this linear; nullptr: no expert changes it.
  const Router* RouterOf(const Linear& linear) const {
    const std::int32_t router = routing_[linear.index];
    return router < 0 ? nullptr : &routers_[static_cast<std::size_t>(router)];
  }
  // nullptr: the expert leaves the linear alone.
  const LowRank* Find(std::size_t expert, const Linear& linear) const {
    return experts_[expert]->Find(linear);
  }
  // `scores`: a router's of one row, [experts]; scratch afterwards.
  RowChoice Choose(std::span<float> scores) const;

 private:
  Status AddRouter(const model::AdapterRouter& router, const Weights& weights);

  model::RouteBy by_ = model::RouteBy::kToken;
  model::MoeSpec choice_;
  std::vector<const LoadedAdapter*> experts_;
  std::vector<Router> routers_;
  std::vector<std::vector<std::size_t>> reading_;  // by Linear::index
  std::vector<std::int32_t> routing_;              // by Linear::index; -1: none
};

// How rows use a mixture.
struct Mixing {
  std::shared_ptr<const LoadedMixture> mixture;
  // Of each router, the choice for all rows; empty: each row makes its own.
  std::vector<RowChoice> fixed = {};
  // [routers, experts]: rows use no expert, but their scores are added here, in order. Or nullptr.
  std::vector<float>* sums = nullptr;
};

}  // namespace metier::engine
