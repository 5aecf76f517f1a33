#include "engine/mixture.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "engine/router.h"

namespace metier::engine {
namespace {

// Linears of one layer and stage share their input; stages are computed in this order.
struct LayerStep {
  std::int64_t layer = 0;
  int stage = 0;
  bool operator==(const LayerStep&) const = default;
};
struct StageOfName {
  std::string_view name;
  int stage;
};
constexpr std::array kStages = {
    StageOfName{"attn.q", 0},   StageOfName{"attn.k", 0},   StageOfName{"attn.v", 0},
    StageOfName{"attn.o", 1},   StageOfName{"ffn.gate", 2}, StageOfName{"ffn.up", 2},
    StageOfName{"ffn.down", 3},
};

// Nothing: a linear that no router reads or routes.
std::optional<LayerStep> StepOf(std::string_view name) {
  constexpr std::string_view kLayers = "layers.";
  if (!name.starts_with(kLayers)) return std::nullopt;
  name.remove_prefix(kLayers.size());
  LayerStep step;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step.layer);
  if (error != std::errc()) return std::nullopt;
  name.remove_prefix(static_cast<std::size_t>(end - name.data()));
  for (const StageOfName& stage : kStages) {
    if (name.starts_with('.') && name.substr(1) == stage.name) {
      step.stage = stage.stage;
      return step;
    }
  }
  return std::nullopt;
}

Error Invalid(std::string message) {
  return Error(ErrorCode::kInvalidArgument, std::move(message));
}

Result<LayerStep> FindStep(const std::string& name, const Weights& weights) {
  const std::optional<LayerStep> step = StepOf(name);
  if (!step || !weights.linears().contains(name)) {
    return Invalid(fmt::format(
        "'{}' is no linear that a router can read or route; expected one of layers.N.attn.q, k, v, "
        "o and layers.N.ffn.gate, up, down that the model has",
        name));
  }
  return *step;
}

}  // namespace

bool IsRoutable(std::string_view linear) { return StepOf(linear).has_value(); }

Result<LoadedMixture> LoadedMixture::Create(const model::AdapterMixture& mixture,
                                            std::span<const LoadedAdapter* const> experts,
                                            const Weights& weights) {
  const std::size_t most = std::min(experts.size(), RowChoice::kMost);
  if (mixture.top_k < 1 || mixture.top_k > static_cast<std::int64_t>(most)) {
    return Invalid(fmt::format("mixture '{}': a token goes to {} of {} experts; expected 1 to {}",
                               mixture.name, mixture.top_k, experts.size(), most));
  }
  LoadedMixture loaded;
  loaded.by_ = mixture.by;
  loaded.choice_ = {.experts = static_cast<std::int64_t>(experts.size()),
                    .top_k = mixture.top_k,
                    .score = mixture.score,
                    .normalise_top_k = mixture.normalise_top_k};
  loaded.experts_.assign(experts.begin(), experts.end());
  loaded.reading_.resize(weights.linears().size());
  loaded.routing_.assign(weights.linears().size(), -1);
  for (const model::AdapterRouter& router : mixture.routers) {
    const Status added = loaded.AddRouter(router, weights);
    if (!added.ok())
      return Invalid(fmt::format("mixture '{}': {}", mixture.name, added.error().message()));
  }
  for (std::size_t e = 0; e < experts.size(); ++e) {
    if (!experts[e]->HasDeltasAlone()) {
      return Invalid(fmt::format(
          "mixture '{}': expert {} is a mixture or has an embedding or a head of its own, or rows "
          "of them, or uses DoRA; expected an adapter of deltas alone",
          mixture.name, e));
    }
    for (const auto& [name, linear] : weights.linears()) {
      if (experts[e]->Find(linear) != nullptr && loaded.RouterOf(linear) == nullptr) {
        return Invalid(
            fmt::format("mixture '{}': expert {} changes '{}', which no router routes; name it in "
                        "one, or leave it out of the expert",
                        mixture.name, e, name));
      }
    }
  }
  return loaded;
}

Status LoadedMixture::AddRouter(const model::AdapterRouter& router, const Weights& weights) {
  METIER_ASSIGN(const LayerStep step, FindStep(router.reads, weights));
  const std::int64_t in = weights.linears().at(router.reads).w.columns;
  const tensor::Shape expected = {choice_.experts, in};
  if (router.weight.shape() != expected || router.weight.dtype() != tensor::DType::kF32) {
    return Invalid(fmt::format("the router that reads '{}' is {} {}, expected F32 {}", router.reads,
                               tensor::InfoOf(router.weight.dtype()).name,
                               tensor::FormatShape(router.weight.shape()),
                               tensor::FormatShape(expected)));
  }
  Router loaded{.weight = router.weight,
                .bias = tensor::Tensor(tensor::DType::kF32, {choice_.experts}),
                .layer = step.layer,
                .slot = static_cast<std::size_t>(
                    std::count_if(routers_.begin(), routers_.end(),
                                  [&](const Router& r) { return r.layer == step.layer; }))};
  if (router.bias) {
    if (router.bias->shape() != loaded.bias.shape() ||
        router.bias->dtype() != tensor::DType::kF32) {
      return Invalid(fmt::format("the router that reads '{}' has a bias {} {}, expected F32 {}",
                                 router.reads, tensor::InfoOf(router.bias->dtype()).name,
                                 tensor::FormatShape(router.bias->shape()),
                                 tensor::FormatShape(loaded.bias.shape())));
    }
    loaded.bias = *router.bias;
  }
  const std::size_t index = routers_.size();
  for (const std::string& name : router.linears) {
    METIER_ASSIGN(const LayerStep routed, FindStep(name, weights));
    if (routed.layer != step.layer || routed.stage < step.stage) {
      return Invalid(
          fmt::format("the router that reads '{}' cannot route '{}', which is of another "
                      "layer or computed before; expected linears of its layer, from its input on",
                      router.reads, name));
    }
    std::int32_t& slot = routing_[weights.linears().at(name).index];
    if (slot >= 0)
      return Invalid(
          fmt::format("two routers route '{}', expected one; name it in one of them", name));
    slot = static_cast<std::int32_t>(index);
  }
  for (const auto& [name, linear] : weights.linears()) {
    if (StepOf(name) == step) reading_[linear.index].push_back(index);
  }
  routers_.push_back(std::move(loaded));
  return Ok();
}

RowChoice LoadedMixture::Choose(std::span<float> scores) const {
  RowChoice choice;
  ChooseExperts(choice_, scores, std::span(choice.experts).first(top_k()),
                std::span(choice.weights).first(top_k()));
  return choice;
}

}  // namespace metier::engine
