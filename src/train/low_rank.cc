#include "train/low_rank.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "train/cpu_types.h"

namespace metier::train::low_rank {
namespace {

std::vector<LowRankBlock> AllBlocks(const LowRank& adapter) {
  if (!adapter.blocks.empty()) return adapter.blocks;
  return {{0, adapter.b.size(0), 0, adapter.b.size(1)}};
}

// Some columns of a tensor of rows that lie `row` elements apart.
struct Columns {
  at::Tensor memory;
  std::int64_t row = 0;

  Columns(const at::Tensor& all, std::int64_t first, std::int64_t count)
      : memory(all.narrow(1, first, count)), row(all.size(1)) {}
};

cpu::LowRankArgs ArgsOf(const Columns& thin, const Columns& factor, const Columns& wide) {
  cpu::LowRankArgs args;
  args.tokens = thin.memory.size(0);
  args.ranks = thin.memory.size(1);
  args.columns = wide.memory.size(1);
  args.act = ActOf(wide.memory);
  args.thin = thin.memory.data_ptr();
  args.thin_row = thin.row;
  args.factor = factor.memory.data_ptr();
  args.factor_row = factor.row;
  args.wide = wide.memory.data_ptr();
  args.wide_row = wide.row;
  return args;
}

void Add(const Columns& thin, const Columns& factor, const Columns& wide) {
  const cpu::LowRankArgs args = ArgsOf(thin, factor, wide);
  const auto& kernels = KernelsFor(wide.memory.scalar_type());
  at::parallel_for(0, args.tokens, 1, [&](std::int64_t begin, std::int64_t end) {
    kernels.low_rank_add(args, begin, end);
  });
}

void Sum(const Columns& thin, const Columns& factor, const Columns& wide) {
  const cpu::LowRankArgs args = ArgsOf(thin, factor, wide);
  const auto& kernels = KernelsFor(wide.memory.scalar_type());
  const std::int64_t tiles = (args.columns + cpu::kColumnTile - 1) / cpu::kColumnTile;
  at::parallel_for(0, tiles, 1, [&](std::int64_t begin, std::int64_t end) {
    kernels.low_rank_sum(args, begin * cpu::kColumnTile,
                         std::min(end * cpu::kColumnTile, args.columns));
  });
}

}  // namespace

at::Tensor Inner(const LowRank& adapter, const at::Tensor& x) {
  return at::mm(x, adapter.a.to(x.scalar_type()).t()).to(RealOf(x.scalar_type()));
}

void AddOutput(const LowRank& adapter, const at::Tensor& inner, at::Tensor& y) {
  if (!UsesKernels(y)) {
    y.addmm_(inner.to(y.scalar_type()), adapter.b.to(y.scalar_type()).t());
    return;
  }
  const at::Tensor factor = adapter.b.t().contiguous();
  for (const LowRankBlock& block : AllBlocks(adapter)) {
    Add({inner, block.rank, block.ranks},
        {factor.narrow(0, block.rank, block.ranks), block.row, block.rows},
        {y, block.row, block.rows});
  }
}

at::Tensor InnerGradient(const LowRank& adapter, const at::Tensor& dy) {
  const at::ScalarType real = RealOf(dy.scalar_type());
  const at::Tensor b = adapter.b.to(dy.scalar_type());
  if (adapter.blocks.empty()) return at::mm(dy, b).to(real);
  const at::Tensor dinner = at::zeros({dy.size(0), adapter.b.size(1)}, dy.options().dtype(real));
  for (const LowRankBlock& block : adapter.blocks) {
    const at::Tensor factor = b.narrow(0, block.row, block.rows).narrow(1, block.rank, block.ranks);
    dinner.narrow(1, block.rank, block.ranks)
        .add_(at::mm(dy.narrow(1, block.row, block.rows), factor));
  }
  return dinner;
}

at::Tensor AGradient(const at::Tensor& dinner, const at::Tensor& x) {
  if (!UsesKernels(x)) return at::mm(dinner.to(x.scalar_type()).t(), x).to(dinner.scalar_type());
  const at::Tensor da = at::zeros({dinner.size(1), x.size(1)}, dinner.options());
  const at::Tensor wide = x.contiguous();
  Sum({dinner, 0, dinner.size(1)}, {da, 0, da.size(1)}, {wide, 0, wide.size(1)});
  return da;
}

at::Tensor BGradient(const LowRank& adapter, const at::Tensor& dy, const at::Tensor& inner) {
  if (!UsesKernels(dy)) return at::mm(dy.t(), inner.to(dy.scalar_type())).to(inner.scalar_type());
  const at::Tensor db = at::zeros({inner.size(1), dy.size(1)}, inner.options());
  const at::Tensor wide = dy.contiguous();
  for (const LowRankBlock& block : AllBlocks(adapter)) {
    Sum({inner, block.rank, block.ranks},
        {db.narrow(0, block.rank, block.ranks), block.row, block.rows},
        {wide, block.row, block.rows});
  }
  return db.t();
}

void AddInput(const LowRank& adapter, const at::Tensor& dinner, at::Tensor& dx) {
  if (!UsesKernels(dx)) {
    dx.addmm_(dinner.to(dx.scalar_type()), adapter.a.to(dx.scalar_type()));
    return;
  }
  const at::Tensor factor = adapter.a.contiguous();
  Add({dinner, 0, dinner.size(1)}, {factor, 0, factor.size(1)}, {dx, 0, dx.size(1)});
}

}  // namespace metier::train::low_rank
