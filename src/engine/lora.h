// engine/lora.h - adapters applied while computing: y += scale * B (A x), on the rows of the
// sequences that use them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/compute.h"
#include "engine/weights.h"
#include "model/adapter.h"

namespace metier::engine {

// A model::Adapter whose deltas are looked up by Linear::index.
class LoadedAdapter {
 public:
  // kInvalidArgument: a linear that the model does not have (with the nearest name), or shapes that
  // do not fit it.
  static Result<LoadedAdapter> Create(const model::Adapter& adapter, const Weights& weights);

  // nullptr: this adapter leaves the linear alone.
  const model::LoraDelta* Find(const Linear& linear) const;

 private:
  std::vector<model::LoraDelta> deltas_;
  std::vector<std::int32_t> by_linear_;  // index into deltas_, or -1
};

// Consecutive rows that share an adapter (or none).
struct AdapterRun {
  const LoadedAdapter* adapter = nullptr;
  std::size_t begin = 0;
  std::size_t end = 0;
};

// Multiplies with the base weights, then adds each run's delta. x: [rows, in], out: [rows, out],
// both contiguous.
void MultiplyAdapted(Compute& compute, const Linear& linear, std::span<const AdapterRun> runs,
                     const float* x, std::size_t rows, float* out);

}  // namespace metier::engine
