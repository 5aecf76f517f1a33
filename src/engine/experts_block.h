// engine/experts_block.h - the feed-forward of a layer with experts: which of them each row goes
// to, and the sum of what these give.
//
// Tokens choose their experts, or the model's task does, or experts choose among the tokens of a
// sequence. Only chosen experts are touched, and fetched where a cache holds some of them
// (expert_cache.h). Rows are gathered by expert, the experts multiplied together a batch at a time,
// and a row adds its experts in ascending order, so its bits depend on neither the other rows nor
// the batches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/adapted_linears.h"
#include "engine/compute.h"
#include "engine/lora.h"
#include "engine/weights.h"
#include "model/model_spec.h"

namespace metier::engine {

class ExpertsBlock {
 public:
  // Borrows all three.
  ExpertsBlock(const model::ModelSpec& spec, const Weights& weights, Compute& compute)
      : spec_(spec), weights_(weights), compute_(compute), linears_(compute) {}

  // Chooses the experts of each row of input [rows, width], what the layer's router reads, and has
  // them fetched in the background where the model knows its choice before attention. `runs` cover
  // the rows; `ends`: where each sequence's rows end.
  void Route(std::size_t layer, std::span<const AdapterRun> runs, std::span<const std::size_t> ends,
             const float* input);

  // out[r] = the weighted sum of the experts chosen by Route, of input [rows, width], mixed with
  // the dense feed-forward where the spec has one beside them. The same layer, runs and number of
  // rows as there.
  void Run(std::size_t layer, std::span<const AdapterRun> runs, const float* input, float* out);

 private:
  // What routers read of every row where experts go by the model's task.
  const float* TaskRows();
  void ChooseByRow(std::size_t experts);
  // Each expert's choice among the rows of every sequence.
  void ChooseByExpert(std::size_t experts, std::span<const std::size_t> ends);
  // out = a * out + b * ffn(input), (a, b) the row's softmax of `mix`.
  void MixWithDense(const LayerWeights& layer, std::span<const AdapterRun> runs, const float* input,
                    float* out);
  // Chosen pairs of row and expert in the order of the experts, an expert's in that of the rows.
  void SortByExpert(std::size_t experts);
  // The end of the experts wanted_[begin, end) that are multiplied together.
  std::size_t BatchEnd(std::size_t begin) const;
  // Into ffns_: the experts wanted_[begin, end), or the first of them where a cache has no room for
  // all; LetGo before the next.
  void Fetch(std::size_t layer, std::size_t begin, std::size_t end);
  void LetGo(std::size_t layer, std::size_t begin);
  void RunBatch(std::span<const FeedForward* const> ffns, std::size_t begin,
                std::span<const AdapterRun> runs, const float* input, float* out);
  // The runs of an expert's rows, counted from its first.
  void CollectRuns(std::span<const AdapterRun> runs, std::size_t begin, std::size_t end);
  bool Together(std::span<const FeedForward* const> ffns, std::span<const AdapterRun> runs) const;

  const model::ModelSpec& spec_;
  const Weights& weights_;
  Compute& compute_;
  AdaptedLinears linears_;

  // One pass's choices and intermediate rows, kept between passes for their memory.
  std::size_t rows_ = 0;
  std::vector<float> scores_;          // [rows, experts]
  std::vector<float> weights_of_row_;  // [rows, top_k]
  std::vector<std::int32_t> chosen_;   // [rows, top_k]
  std::vector<std::int32_t> wanted_;   // experts that a row chose, ascending
  std::vector<std::size_t> starts_;    // [experts + 1], of an expert's pairs
  std::vector<std::size_t> pair_row_;  // [rows * top_k]
  std::vector<float> pair_weight_;     // [rows * top_k]
  std::vector<const FeedForward*> ffns_;
  std::vector<RowGroup> groups_;
  std::vector<AdapterRun> expert_runs_;
  std::vector<float> gathered_, results_;  // [rows of a batch, width]
  std::vector<float> hidden_;              // [rows of a batch, hidden]
  std::vector<float> task_rows_;           // [rows, width]
  std::vector<std::int32_t> tokens_;       // of a sequence, that its experts chose
  std::vector<float> token_weights_;
  std::vector<float> shares_, dense_, dense_hidden_;  // [rows, 2], [rows, width], [rows, hidden]
};

}  // namespace metier::engine
