// engine/adapted_linears.h - products with a model's linears, each row with what its adapter
// changes.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engine/compute.h"
#include "engine/lora.h"
#include "engine/weights.h"
#include "model/model_spec.h"

namespace metier::engine {

// A linear and where its results go.
struct LinearOutput {
  const Linear* linear = nullptr;
  float* out = nullptr;  // [rows, out], contiguous
  bool add = false;      // to what is in out
};

// Keeps the memory of one pass for the next one. One thread at a time.
class AdaptedLinears {
 public:
  explicit AdaptedLinears(Compute& compute) : compute_(compute) {}

  // Multiplies x [rows, in] with each linear, or the run's own weight instead, and adds each run's
  // changes. All linears share `in`, at most 4 of them; runs in the order of the rows.
  void Multiply(std::span<const LinearOutput> outputs, std::span<const AdapterRun> runs,
                const float* x, std::size_t rows);
  void Multiply(const Linear& linear, std::span<const AdapterRun> runs, const float* x,
                std::size_t rows, float* out) {
    const LinearOutput output{.linear = &linear, .out = out};
    Multiply({&output, 1}, runs, x, rows);
  }

  // The first half of a feed-forward, which dense layers and experts share: hidden[r] = act(gate
  // x[r]) * (up x[r]), or act(up x[r]) where the spec is not gated. hidden: [rows, hidden].
  void MultiplyHidden(const model::ModelSpec& spec, const FeedForward& ffn,
                      std::span<const AdapterRun> runs, const float* x, std::size_t rows,
                      float* hidden);

 private:
  // Room for the changes of `linears` linears: spans of Collect hold until the next call.
  void Reserve(std::size_t linears, std::span<const AdapterRun> runs);
  std::span<const RowChange> Collect(const Linear& linear, std::span<const AdapterRun> runs);
  void MultiplyReplaced(const LinearOutput& output, std::span<const AdapterRun> runs,
                        const float* x);

  Compute& compute_;
  std::vector<RowChange> changes_;
  std::vector<float> space_;
};

}  // namespace metier::engine
