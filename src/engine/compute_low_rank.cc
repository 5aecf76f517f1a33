// What adapters change of Compute's products, many adapters in one pass. A change is two skinny
// products: the first one shares the round that prepares the activations, the second the round of
// the weights, where the outputs that it adds to are still in the cache.
#include <algorithm>
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

std::size_t LowStride(const LowRank& change) {
  return kernels::StripCount(change.rank) * kernels::kStripRanks;
}

}  // namespace

void Compute::PlanChanges(std::size_t products, ChangesOf changes_of, const float* x,
                          std::size_t rows) {
  low_stride_ = 0;
  for (std::size_t i = 0; i < products; ++i) {
    for (const RowChange& run : changes_of(i))
      low_stride_ = std::max(low_stride_, LowStride(*run.change));
  }
  low_.resize(products * rows * low_stride_);
  for (std::size_t i = 0; i < products; ++i) {
    for (const RowChange& run : changes_of(i)) {
      const LowRank& change = *run.change;
      shrink_cost_ += (run.end - run.begin) * LowStride(change) * change.in;
      for (std::size_t row = run.begin; row < run.end; row += kShrinkRows) {
        for (std::size_t strip = 0; strip < kernels::StripCount(change.rank); ++strip) {
          shrinks_.push_back(
              {.change = &change,
               .strip = strip,
               .x = x + row * change.in,
               .low = low_.data() + (i * rows + row) * low_stride_ + strip * kernels::kStripRanks,
               .rows = std::min(kShrinkRows, run.end - row)});
        }
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
}

std::size_t Compute::StretchesOf(std::span<const RowChange> changes, std::size_t from,
                                 std::size_t to, std::span<kernels::Stretch> stretches) {
  const std::size_t count = std::min(changes.size(), stretches.size());
  for (std::size_t i = 0; i < count; ++i) {
    const LowRank& change = *changes[i].change;
    const std::size_t panel_bytes = kernels::PanelBytes(change.type, change.rank);
    stretches[i] = {change.b + from * panel_bytes, (to - from) * panel_bytes};
  }
  return count;
}

void Compute::Expand(std::span<const RowChange> changes, const float* low, std::size_t row,
                     std::size_t rows, std::size_t from, std::size_t to, float* out,
                     std::size_t out_stride) const {
  for (const RowChange& run : changes) {
    const std::size_t begin = std::max(run.begin, row);
    const std::size_t end = std::min(run.end, row + rows);
    if (begin >= end) continue;
    const LowRank& change = *run.change;
    const std::size_t panel_bytes = kernels::PanelBytes(change.type, change.rank);
    const std::size_t output = from * kernels::kPanelOutputs;
    LowRankKernelsOf(kernels_, change)
        .expand({.b = change.b + from * panel_bytes,
                 .low = low + begin * low_stride_,
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
      1, [&](std::size_t) { return product.changes; }, x, rows);
  Prepare({}, x, rows, static_cast<std::size_t>(product.w->columns));
  const auto outputs = static_cast<std::size_t>(product.w->rows);
  const std::size_t panels = (outputs + kernels::kPanelOutputs - 1) / kernels::kPanelOutputs;
  For(panels, kernels::kPanelOutputs * rows * low_stride_, [&](std::size_t begin, std::size_t end) {
    Expand(product.changes, Low(0, rows), 0, rows, begin, end,
           product.out + begin * kernels::kPanelOutputs, outputs);
  });
}

}  // namespace metier::engine
