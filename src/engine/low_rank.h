// engine/low_rank.h - an adapter's change of one linear, y += scale * B (A x), as the kernels
// stream it (kernels/low_rank.h).
#pragma once

#include <cstddef>

#include "engine/weights.h"
#include "model/adapter.h"
#include "tensor/tensor.h"

namespace metier::engine {

// Immutable once made.
struct LowRank {
  // kF32: exact. kBF16: rounded to it, which half the bytes of a step buys; adapters that are
  // stored so lose nothing. Requires factors in F32 that fit each other.
  static LowRank Pack(const model::LoraDelta& delta, tensor::DType dtype);

  std::size_t rank = 0;
  std::size_t in = 0;
  std::size_t out = 0;
  float scale = 1;
  tensor::Tensor a;  // strips
  tensor::Tensor b;  // panels
};

// A change that some rows take.
struct LowRankProduct {
  const LowRank* change = nullptr;
  const float* x = nullptr;  // [rows, in], contiguous
  std::size_t rows = 0;
  float* out = nullptr;  // [rows, out], contiguous: added to
};

}  // namespace metier::engine
