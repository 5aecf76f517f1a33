// engine/low_rank.h - an adapter's change of one linear, y += scale * B (A x), as the kernels
// stream it (kernels/low_rank.h).
#pragma once

#include <cstddef>
#include <span>

#include "engine/weights.h"
#include "kernels/low_rank.h"
#include "model/adapter.h"

namespace metier::engine {

// Immutable once made. Borrows its factors.
struct LowRank {
  // The room that Pack takes, a multiple of 64.
  static std::size_t Bytes(const model::LoraDelta& delta, kernels::FactorType type);

  // kF32: exact. kInt8: in bytes, a quarter of what a step reads, with an error of at most half a
  // step, the greatest weight over 127: of a rank among 128 inner indices of A, of an output of B.
  // Requires factors in F32 that fit each other, and `space` of Bytes() at a multiple of 64.
  static LowRank Pack(const model::LoraDelta& delta, kernels::FactorType type,
                      std::span<std::byte> space);

  kernels::FactorType type = kernels::FactorType::kF32;
  std::size_t rank = 0;
  std::size_t in = 0;
  std::size_t out = 0;
  float scale = 1;
  const std::byte* a = nullptr;  // strips
  const std::byte* b = nullptr;  // panels
};

// What rows [begin, end) of a product change.
struct RowChange {
  const LowRank* change = nullptr;
  std::size_t begin = 0;
  std::size_t end = 0;
  const float* weights = nullptr;  // factors, of each row; or nullptr
};

}  // namespace metier::engine
