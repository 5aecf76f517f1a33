// engine/adapted_linears.h - products with a model's linears, each row with what its adapter
// changes.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engine/compute.h"
#include "engine/lora.h"
#include "engine/mixture.h"
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
  // changes. All linears share `in`, at most 4 of them; runs in the order of the rows. Runs of a
  // mixture choose here where one of its routers reads x, for these linears and those that follow
  // with the same rows.
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
  // Lets the routers that read x, the input of this linear, choose for their runs' rows.
  void Route(const Linear& linear, std::span<const AdapterRun> runs, const float* x);
  void RouteRun(const AdapterRun& run, std::size_t router, const float* x);
  // Room for the changes of `linears` linears: spans of Collect hold until the next call.
  void Reserve(std::size_t linears, std::span<const AdapterRun> runs);
  std::span<const RowChange> Collect(const Linear& linear, std::span<const AdapterRun> runs);
  void CollectMixed(const Linear& linear, const AdapterRun& run);
  void MultiplyApart(const LinearOutput& output, std::span<const AdapterRun> runs, const float* x);
  void MultiplyScaled(const LinearOutput& output, const AdapterRun& run,
                      std::span<const RowChange> changes, const float* x);
  // Puts the outputs that runs have rows of their own for in the places of the base's.
  void PutOwnRows(const LinearOutput& output, std::span<const AdapterRun> runs, const float* x);

  Compute& compute_;
  std::vector<RowChange> changes_;
  std::vector<float> weights_;                   // RowChange::weights
  std::vector<std::vector<RowChoice>> choices_;  // by Router::slot and row
  std::vector<float> scores_;                    // [rows, experts]
  std::vector<float> space_;
  std::vector<float> scaled_;  // [rows, out] before DoRA's scales
  std::vector<float> own_;     // outputs of an adapter's own rows
};

}  // namespace metier::engine
