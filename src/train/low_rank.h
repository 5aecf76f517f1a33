// train/low_rank.h - the products of an adapter beside a linear's: thin, so that on a CPU they run
// in kernels of their own (cpu/), elsewhere as LibTorch's products.
//
// All take `adapter` with a: real [ranks, in] and b: real [out, ranks]; rows are tokens.
#pragma once

#include "train/ops.h"
#include "train/torch.h"

namespace metier::train::low_rank {

// x A^T, real [rows, ranks]. x: act [rows, in].
at::Tensor Inner(const LowRank& adapter, const at::Tensor& x);

// y += inner B^T. y: act [rows, out], in one piece.
void AddOutput(const LowRank& adapter, const at::Tensor& inner, at::Tensor& y);

// dy B, real [rows, ranks]. dy: act [rows, out].
at::Tensor InnerGradient(const LowRank& adapter, const at::Tensor& dy);

// dinner^T x, real [ranks, in]: the gradient of A.
at::Tensor AGradient(const at::Tensor& dinner, const at::Tensor& x);

// dy^T inner, real [out, ranks]: the gradient of B, 0 outside the blocks.
at::Tensor BGradient(const LowRank& adapter, const at::Tensor& dy, const at::Tensor& inner);

// dx += dinner A. dx: act [rows, in], in one piece.
void AddInput(const LowRank& adapter, const at::Tensor& dinner, at::Tensor& dx);

}  // namespace metier::train::low_rank
