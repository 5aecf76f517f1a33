// What adapters change of Compute's products, many adapters in one pass. A change is two skinny
// products: the first one shares the round that prepares the activations, the second the round of
// the weights, where the outputs that it adds to are still in the cache.
#include <algorithm>
#include <cstring>
#include <span>

#include "engine/compute.h"
#include "kernels/low_rank.h"

namespace metier::engine {

namespace {

// Rows that one task shrinks.
constexpr std::size_t kShrinkRows = 32;

const kernels::LowRankKernels& LowRankKernelsOf(const kernels::KernelTable& kernels,
                                                const LowRank& change) {
  return change.type == kernels::FactorType::kF32 ? kernels.low_rank_f32 : kernels.low_rank_int8;
}

// A row's values of one strip, or the digits that stand for them.
void Weigh(kernels::FactorType type, float weight, float* low) {
  if (type == kernels::FactorType::kF32) {
    for (std::size_t k = 0; k < kernels::kStripRanks; ++k) low[k] *= weight;
    return;
  }
  kernels::LowDigits digits;
  std::memcpy(&digits, low, sizeof(digits));
  digits.scale *= weight;
  std::memcpy(low, &digits, sizeof(digits));
}

std::size_t LowStride(const LowRank& change) {
  return kernels::StripCount(change.rank) * kernels::kStripRanks;
}

}  // namespace

void Compute::PlanChanges(std::size_t products, ChangesOf changes_of, const float* x) {
  low_stride_ = 0;
  low_starts_.clear();
  std::size_t low_rows = 0;
  for (std::size_t i = 0; i < products; ++i) {
    low_starts_.push_back(low_rows);
    for (const RowChange& run : changes_of(i)) {
      low_stride_ = std::max(low_stride_, LowStride(*run.change));
      low_rows += run.end - run.begin;
    }
  }
  low_.resize(low_rows * low_stride_);
  float* low = low_.data();
  for (std::size_t i = 0; i < products; ++i) {
    for (const RowChange& run : changes_of(i)) {
      const LowRank& change = *run.change;
      shrink_cost_ += (run.end - run.begin) * LowStride(change) * change.in;
      for (std::size_t row = run.begin; row < run.end; row += kShrinkRows) {
        const std::size_t rows = std::min(kShrinkRows, run.end - row);
        for (std::size_t strip = 0; strip < kernels::StripCount(change.rank); ++strip) {
          shrinks_.push_back(
              {.change = &change,
               .strip = strip,
               .x = x + row * change.in,
               .weights = run.weights == nullptr ? nullptr : run.weights + (row - run.begin),
               .low = low + strip * kernels::kStripRanks,
               .rows = rows});
        }
        low += rows * low_stride_;
      }
    }
  }
}

void Compute::RunShrink(const ShrinkTask& task) const {
  const LowRank& change = *task.change;
  const std::size_t strip_bytes = kernels::StripBytes(change.type, change.in);
  LowRankKernelsOf(kernels_, change)
      .shrink({.a = change.a + task.strip * strip_bytes,
               .x = task.x,
               .x_stride = change.in,
               .low = task.low,
               .low_stride = low_stride_,
               .rows = task.rows,
               .inner = change.in});
  if (task.weights == nullptr) return;
  for (std::size_t r = 0; r < task.rows; ++r)
    Weigh(change.type, task.weights[r], task.low + r * low_stride_);
}

std::size_t Compute::StretchesOf(std::span<const RowChange> changes, std::size_t from,
                                 std::size_t to, std::span<kernels::Stretch> stretches) {
  std::size_t count = 0;
  const LowRank* last = nullptr;
  for (const RowChange& run : changes) {
    if (count == stretches.size()) break;
    if (run.change == last) continue;
    last = run.change;
    const std::size_t panel_bytes = kernels::PanelBytes(last->type, last->rank);
    stretches[count++] = {last->b + from * panel_bytes, (to - from) * panel_bytes};
  }
  return count;
}

void Compute::Expand(std::span<const RowChange> changes, const float* low, std::size_t row,
                     std::size_t rows, std::size_t from, std::size_t to, float* out,
                     std::size_t out_stride) const {
  const float* next = low;
  for (const RowChange& run : changes) {
    const float* low_of_run = next;
    next += (run.end - run.begin) * low_stride_;
    const std::size_t begin = std::max(run.begin, row);
    const std::size_t end = std::min(run.end, row + rows);
    if (begin >= end) continue;
    const LowRank& change = *run.change;
    const std::size_t panel_bytes = kernels::PanelBytes(change.type, change.rank);
    const std::size_t output = from * kernels::kPanelOutputs;
    LowRankKernelsOf(kernels_, change)
        .expand({.b = change.b + from * panel_bytes,
                 .low = low_of_run + (begin - run.begin) * low_stride_,
                 .low_stride = low_stride_,
                 .scale = change.scale,
                 .out = out + (begin - row) * out_stride,
                 .out_stride = out_stride,
                 .rows = end - begin,
                 .rank = change.rank,
                 .outputs = std::min(to * kernels::kPanelOutputs, change.out) - output});
  }
}

void Compute::AddChanges(const Product& product, const float* x, std::size_t rows) {
  if (product.changes.empty()) return;
  PlanChanges(
      1, [&](std::size_t) { return product.changes; }, x);
  Prepare({}, x, rows, static_cast<std::size_t>(product.w->columns));
  const auto outputs = static_cast<std::size_t>(product.w->rows);
  const std::size_t panels = (outputs + kernels::kPanelOutputs - 1) / kernels::kPanelOutputs;
  For(panels, kernels::kPanelOutputs * rows * low_stride_, [&](std::size_t begin, std::size_t end) {
    Expand(product.changes, Low(0), 0, rows, begin, end,
           product.out + begin * kernels::kPanelOutputs, outputs);
  });
}

}  // namespace metier::engine
