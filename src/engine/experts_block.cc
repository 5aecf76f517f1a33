#include "engine/experts_block.h"

#include <algorithm>
#include <cmath>

#include "engine/expert_cache.h"
#include "engine/router.h"

namespace metier::engine {
namespace {

std::size_t Size(std::int64_t n) { return static_cast<std::size_t>(n); }

bool IsPacked(const FeedForward& ffn) {
  return ffn.gate.w.packing && ffn.up.w.packing && ffn.down.w.packing;
}

bool Changes(const AdapterRun& run, const FeedForward& ffn) {
  return run.adapter != nullptr &&
         (run.adapter->Find(ffn.gate) != nullptr || run.adapter->Find(ffn.up) != nullptr ||
          run.adapter->Find(ffn.down) != nullptr);
}

}  // namespace

void ExpertsBlock::Route(std::size_t layer, std::span<const AdapterRun> runs,
                         std::span<const std::size_t> ends, const float* input) {
  const std::size_t experts = weights_.layers[layer].experts.size();
  rows_ = runs.back().end;
  scores_.resize(rows_ * experts);
  const bool by_task = spec_.moe.chooser == model::ExpertChooser::kTask;
  linears_.Multiply(weights_.layers[layer].router, runs, by_task ? TaskRows() : input, rows_,
                    scores_.data());
  if (spec_.moe.chooser == model::ExpertChooser::kExpert) {
    ChooseByExpert(experts, ends);
  } else {
    ChooseByRow(experts);
  }
  if (ExpertCache* cache = weights_.expert_cache()) {
    const bool early = spec_.moe.router_input == model::RouterInput::kBlockInput;
    cache->Expect(layer, wanted_,
                  early ? ExpertCache::Fetch::kInBackground : ExpertCache::Fetch::kWhenPinned);
  }
}

const float* ExpertsBlock::TaskRows() {
  const std::size_t width = Size(spec_.width);
  task_rows_.resize(rows_ * width);
  for (std::size_t r = 0; r < rows_; ++r)
    std::copy_n(weights_.task.data(), width, task_rows_.data() + r * width);
  return task_rows_.data();
}

void ExpertsBlock::ChooseByRow(std::size_t experts) {
  const std::size_t top_k = Size(spec_.moe.top_k);
  chosen_.resize(rows_ * top_k);
  weights_of_row_.resize(rows_ * top_k);
  for (std::size_t r = 0; r < rows_; ++r) {
    ChooseExperts(spec_.moe, {scores_.data() + r * experts, experts},
                  {chosen_.data() + r * top_k, top_k}, {weights_of_row_.data() + r * top_k, top_k});
  }
  SortByExpert(experts);
}

void ExpertsBlock::ChooseByExpert(std::size_t experts, std::span<const std::size_t> ends) {
  const auto count_of = [&](std::size_t tokens) {
    return Size(model::TokensOfExpert(spec_.moe, static_cast<std::int64_t>(experts),
                                      static_cast<std::int64_t>(tokens)));
  };
  std::size_t each = 0;
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    each += count_of(end - begin);
    begin = end;
  }
  wanted_.clear();
  starts_.clear();
  for (std::size_t e = 0; e <= experts; ++e) {
    starts_.push_back(e * each);
    if (e < experts) wanted_.push_back(static_cast<std::int32_t>(e));
  }
  pair_row_.resize(experts * each);
  pair_weight_.resize(experts * each);
  std::size_t before = 0;  // chosen of the sequences before this one
  begin = 0;
  for (const std::size_t end : ends) {
    const std::size_t count = count_of(end - begin);
    ChooseTokens({scores_.data() + begin * experts, (end - begin) * experts}, experts, count,
                 tokens_, token_weights_);
    for (std::size_t i = 0; i < experts * count; ++i) {
      const std::size_t at = starts_[i / count] + before + i % count;
      pair_row_[at] = begin + Size(tokens_[i]);
      pair_weight_[at] = token_weights_[i];
    }
    before += count;
    begin = end;
  }
}

void ExpertsBlock::SortByExpert(std::size_t experts) {
  const std::size_t top_k = Size(spec_.moe.top_k);
  starts_.assign(experts + 1, 0);
  for (const std::int32_t expert : chosen_) ++starts_[Size(expert) + 1];
  wanted_.clear();
  for (std::size_t expert = 0; expert + 1 < starts_.size(); ++expert) {
    if (starts_[expert + 1] > 0) wanted_.push_back(static_cast<std::int32_t>(expert));
    starts_[expert + 1] += starts_[expert];
  }
  pair_row_.resize(chosen_.size());
  pair_weight_.resize(chosen_.size());
  // Each expert's start moves to its end, which is where the next one's was.
  for (std::size_t i = 0; i < chosen_.size(); ++i) {
    const std::size_t at = starts_[Size(chosen_[i])]++;
    pair_row_[at] = i / top_k;
    pair_weight_[at] = weights_of_row_[i];
  }
  std::copy_backward(starts_.begin(), starts_.end() - 1, starts_.end());
  starts_.front() = 0;
}

std::size_t ExpertsBlock::BatchEnd(std::size_t begin) const {
  // Rows whose intermediate values stay small, and enough panels for a crew.
  constexpr std::size_t kRows = 256;
  const std::size_t first = starts_[Size(wanted_[begin])];
  std::size_t end = begin + 1;
  while (end < wanted_.size() && starts_[Size(wanted_[end]) + 1] - first <= kRows) ++end;
  return end;
}

void ExpertsBlock::Run(std::size_t layer, std::span<const AdapterRun> runs, const float* input,
                       float* out) {
  std::fill_n(out, rows_ * Size(spec_.width), 0.0F);
  for (std::size_t begin = 0; begin < wanted_.size(); begin += ffns_.size()) {
    Fetch(layer, begin, BatchEnd(begin));
    RunBatch(ffns_, begin, runs, input, out);
    LetGo(layer, begin);
  }
  if (spec_.moe.residual) MixWithDense(weights_.layers[layer], runs, input, out);
}

void ExpertsBlock::MixWithDense(const LayerWeights& layer, std::span<const AdapterRun> runs,
                                const float* input, float* out) {
  const std::size_t width = Size(spec_.width);
  shares_.resize(rows_ * 2);
  dense_.resize(rows_ * width);
  dense_hidden_.resize(rows_ * Size(spec_.hidden));
  linears_.Multiply(layer.mix, runs, input, rows_, shares_.data());
  linears_.MultiplyHidden(spec_, layer.ffn, runs, input, rows_, dense_hidden_.data());
  linears_.Multiply(layer.ffn.down, runs, dense_hidden_.data(), rows_, dense_.data());
  compute_.For(rows_, 2 * width, [&](std::size_t from, std::size_t to) {
    for (std::size_t r = from; r < to; ++r) {
      // The softmax of two: a sigmoid of their difference.
      const float dense = 1.0F / (1.0F + std::exp(shares_[2 * r] - shares_[2 * r + 1]));
      const float experts = 1.0F / (1.0F + std::exp(shares_[2 * r + 1] - shares_[2 * r]));
      for (std::size_t i = r * width; i < (r + 1) * width; ++i)
        out[i] = experts * out[i] + dense * dense_[i];
    }
  });
}

void ExpertsBlock::Fetch(std::size_t layer, std::size_t begin, std::size_t end) {
  ffns_.clear();
  if (ExpertCache* cache = weights_.expert_cache()) {
    const auto crew = [this](std::size_t count, std::size_t cost,
                             FunctionRef<void(std::size_t, std::size_t)> body) {
      compute_.For(count, cost, body);
    };
    cache->Pin(layer, std::span(wanted_).subspan(begin, end - begin), crew, ffns_);
    return;
  }
  for (std::size_t i = begin; i < end; ++i)
    ffns_.push_back(&weights_.layers[layer].experts[Size(wanted_[i])]);
}

void ExpertsBlock::LetGo(std::size_t layer, std::size_t begin) {
  if (ExpertCache* cache = weights_.expert_cache())
    cache->Unpin(layer, std::span(wanted_).subspan(begin, ffns_.size()));
}

void ExpertsBlock::CollectRuns(std::span<const AdapterRun> runs, std::size_t begin,
                               std::size_t end) {
  expert_runs_.clear();
  std::size_t at = begin;
  for (const AdapterRun& run : runs) {
    while (at < end && pair_row_[at] < run.end) ++at;
    AddRun(run.adapter, at - begin, expert_runs_);
  }
}

bool ExpertsBlock::Together(std::span<const FeedForward* const> ffns,
                            std::span<const AdapterRun> runs) const {
  return spec_.gated && std::all_of(ffns.begin(), ffns.end(), [&](const FeedForward* ffn) {
           return IsPacked(*ffn) && std::none_of(runs.begin(), runs.end(), [&](const auto& run) {
                    return Changes(run, *ffn);
                  });
         });
}

void ExpertsBlock::RunBatch(std::span<const FeedForward* const> ffns, std::size_t begin,
                            std::span<const AdapterRun> runs, const float* input, float* out) {
  const std::size_t width = Size(spec_.width);
  const std::size_t hidden = Size(spec_.hidden);
  const std::size_t first = starts_[Size(wanted_[begin])];
  groups_.clear();
  for (std::size_t i = 0; i < ffns.size(); ++i) {
    const std::size_t expert = Size(wanted_[begin + i]);
    groups_.push_back(
        {.ffn = ffns[i], .begin = starts_[expert] - first, .end = starts_[expert + 1] - first});
  }
  const std::size_t rows = groups_.back().end;
  gathered_.resize(rows * width);
  hidden_.resize(rows * hidden);
  results_.resize(rows * width);
  compute_.For(rows, width, [&](std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i)
      std::copy_n(input + pair_row_[first + i] * width, width, gathered_.data() + i * width);
  });
  if (Together(ffns, runs)) {
    compute_.MultiplyGated(spec_.activation, groups_, gathered_.data(), hidden_.data());
    compute_.MultiplyDown(groups_, hidden_.data(), results_.data());
  } else {
    for (const RowGroup& group : groups_) {
      const std::size_t count = group.end - group.begin;
      float* values = hidden_.data() + group.begin * hidden;
      CollectRuns(runs, first + group.begin, first + group.end);
      linears_.MultiplyHidden(spec_, *group.ffn, expert_runs_,
                              gathered_.data() + group.begin * width, count, values);
      linears_.Multiply(group.ffn->down, expert_runs_, values, count,
                        results_.data() + group.begin * width);
    }
  }
  // Split by columns: a row may have several experts here.
  constexpr std::size_t kColumns = 256;
  compute_.For((width + kColumns - 1) / kColumns, kColumns * rows,
               [&](std::size_t from, std::size_t to) {
                 const std::size_t column = from * kColumns;
                 const std::size_t count = std::min(width, to * kColumns) - column;
                 for (std::size_t i = 0; i < rows; ++i) {
                   compute_.kernels().add_scaled(out + pair_row_[first + i] * width + column,
                                                 results_.data() + i * width + column,
                                                 pair_weight_[first + i], count);
                 }
               });
}

}  // namespace metier::engine
