#include "engine/feed_forward.h"

#include <algorithm>
#include <array>

namespace metier::engine {

void MultiplyHidden(Compute& compute, const model::ModelSpec& spec, const FeedForward& ffn,
                    std::span<const AdapterRun> runs, const float* x, std::size_t rows,
                    float* hidden, std::vector<float>& space) {
  const std::size_t values = rows * static_cast<std::size_t>(spec.hidden);
  if (!spec.gated) {
    MultiplyAdapted(compute, ffn.up, runs, x, rows, hidden);
    return compute.Activate(spec.activation, hidden, nullptr, values, hidden);
  }
  const bool adapted = std::any_of(runs.begin(), runs.end(), [&](const AdapterRun& run) {
    return run.adapter != nullptr &&
           (run.adapter->Changes(ffn.gate) || run.adapter->Changes(ffn.up));
  });
  if (!adapted) return compute.MultiplyGated(spec.activation, ffn, x, rows, hidden, space);
  space.resize(values);
  const std::array<LinearOutput, 2> both = {
      {{.linear = &ffn.gate, .out = space.data()}, {.linear = &ffn.up, .out = hidden}}};
  MultiplyAdapted(compute, both, runs, x, rows);
  compute.Activate(spec.activation, space.data(), hidden, values, hidden);
}

}  // namespace metier::engine
