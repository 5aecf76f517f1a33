// Compute::AddLowRank: what adapters add to linears, many adapters in one pass.
#include <algorithm>
#include <span>

#include "engine/compute.h"
#include "kernels/low_rank.h"

namespace metier::engine {

namespace {

// Rows and panels of outputs that one task takes.
constexpr std::size_t kLowRankRows = 32;
constexpr std::size_t kExpandPanels = 8;

const kernels::LowRankKernels& LowRankKernelsOf(const kernels::KernelTable& kernels,
                                                const LowRank& change) {
  return change.a.dtype() == tensor::DType::kF32 ? kernels.low_rank_f32 : kernels.low_rank_bf16;
}

}  // namespace

void Compute::RunShrink(const LowRankTask& task) const {
  const LowRank& change = *task.product->change;
  const std::size_t strip_bytes =
      change.in * kernels::kStripRanks * tensor::InfoOf(change.a.dtype()).block_bytes;
  LowRankKernelsOf(kernels_, change)
      .shrink({.a = change.a.bytes().data() + task.part * strip_bytes,
               .x = task.product->x + task.row * change.in,
               .x_stride = change.in,
               .low = task.low + task.part * kernels::kStripRanks,
               .low_stride = task.low_stride,
               .rows = task.rows,
               .inner = change.in});
}

void Compute::RunExpand(const LowRankTask& task) const {
  const LowRank& change = *task.product->change;
  const std::size_t panel_bytes =
      change.rank * kernels::kPanelOutputs * tensor::InfoOf(change.b.dtype()).block_bytes;
  const std::size_t first = task.part * kExpandPanels;
  const std::size_t output = first * kernels::kPanelOutputs;
  LowRankKernelsOf(kernels_, change)
      .expand({.b = change.b.bytes().data() + first * panel_bytes,
               .low = task.low,
               .low_stride = task.low_stride,
               .scale = change.scale,
               .out = task.product->out + task.row * change.out + output,
               .out_stride = change.out,
               .rows = task.rows,
               .rank = change.rank,
               .outputs = std::min(kExpandPanels * kernels::kPanelOutputs, change.out - output)});
}

void Compute::AddLowRank(std::span<const LowRankProduct> products) {
  if (products.empty()) return;
  constexpr std::size_t kPartOutputs = kExpandPanels * kernels::kPanelOutputs;
  const auto stride_of = [](const LowRank& change) {
    return kernels::StripCount(change.rank) * kernels::kStripRanks;
  };
  std::size_t values = 0;
  for (const LowRankProduct& product : products)
    values += product.rows * stride_of(*product.change);
  low_.resize(values);
  shrinks_.clear();
  expands_.clear();
  float* low = low_.data();
  std::size_t shrink_cost = 0;
  std::size_t expand_cost = 0;
  for (const LowRankProduct& product : products) {
    const LowRank& change = *product.change;
    const std::size_t stride = stride_of(change);
    for (std::size_t row = 0; row < product.rows; row += kLowRankRows) {
      LowRankTask task{.product = &product,
                       .low = low,
                       .low_stride = stride,
                       .rows = std::min(kLowRankRows, product.rows - row),
                       .row = row,
                       .part = 0};
      for (; task.part < kernels::StripCount(change.rank); ++task.part) shrinks_.push_back(task);
      for (task.part = 0; task.part * kPartOutputs < change.out; ++task.part)
        expands_.push_back(task);
      low += task.rows * stride;
    }
    shrink_cost += product.rows * stride * change.in;
    expand_cost += product.rows * change.rank * change.out;
  }
  For(shrinks_.size(), shrink_cost / shrinks_.size(), [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) RunShrink(shrinks_[i]);
  });
  For(expands_.size(), expand_cost / expands_.size(), [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) RunExpand(expands_[i]);
  });
}

}  // namespace metier::engine
