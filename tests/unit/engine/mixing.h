// tests/unit/engine/mixing.h - adapters to be mixed, and hand-made routers over them.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "base/rng.h"
#include "model/mixture.h"
#include "tiny_models.h"

namespace metier::engine::test {

// RandomAdapter with deltas alone, of linears that RandomMixture routes.
inline model::Adapter RandomExpert(const model::ModelSpec& spec, std::uint64_t seed) {
  model::Adapter adapter = RandomAdapter(spec, seed);
  adapter.replaced.clear();
  std::erase_if(adapter.deltas, [&](const model::LoraDelta& delta) {
    const bool attention = delta.linear.find(".attn.") != std::string::npos;
    const bool dense = spec.moe.experts == 0 && delta.linear.find(".ffn.") != std::string::npos;
    return !attention && !dense;
  });
  return adapter;
}

inline tensor::Tensor RandomRows(std::int64_t rows, std::int64_t columns, Rng& rng, double scale) {
  tensor::Tensor values(tensor::DType::kF32, {rows, columns});
  for (float& value : values.f32()) value = static_cast<float>(scale * rng.Normal());
  return values;
}

// Of each layer: one router that reads the attention's input and routes all of attention, one for
// q's input but v alone, and, of dense models, one that reads the feed-forward's input.
inline model::AdapterMixture RandomMixture(const model::ModelSpec& spec, std::int64_t experts,
                                           std::int64_t top_k, std::uint64_t seed) {
  Rng rng(seed);
  model::AdapterMixture mixture{.name = "random", .top_k = top_k};
  const auto add = [&](const std::string& layer, const std::string& reads,
                       std::vector<std::string> linears) {
    for (std::string& linear : linears) linear = layer + linear;
    mixture.routers.push_back({.reads = layer + reads,
                               .linears = std::move(linears),
                               .weight = RandomRows(experts, spec.width, rng, 1)});
  };
  for (std::int64_t n = 0; n < spec.layers; ++n) {
    const std::string layer = "layers." + std::to_string(n) + ".";
    add(layer, "attn.k", {"attn.q", "attn.k", "attn.o"});
    add(layer, "attn.q", {"attn.v"});
    if (spec.moe.experts > 0) continue;
    std::vector<std::string> feed_forward = {"ffn.up", "ffn.down"};
    if (spec.gated) feed_forward.emplace_back("ffn.gate");
    add(layer, "ffn.up", std::move(feed_forward));
  }
  return mixture;
}

// Every router prefers this expert, whatever it reads.
inline void Force(model::AdapterMixture& mixture, std::int64_t expert) {
  for (model::AdapterRouter& router : mixture.routers) {
    router.bias = tensor::Tensor(tensor::DType::kF32, {router.weight.shape()[0]});
    router.bias->f32()[static_cast<std::size_t>(expert)] = 1e6F;
  }
}

}  // namespace metier::engine::test
