// kernels/low_rank.h - the two skinny products of an adapter of low rank, y += scale * B (A x) (Hu
// et al., "LoRA", 2021, equation 3), over factors laid out to be read in one stream:
//
//   A [rank, in]    strips of kStripRanks ranks, each [in, kStripRanks], zeros behind the last rank
//   B [out, rank]   panels of kPanelOutputs outputs, each [rank, kPanelOutputs], zeros behind the
//                   last output
//
// Lanes are ranks or outputs, so no sum crosses lanes, and a row's bits depend on nothing but
// itself.
#pragma once

#include <cstddef>

#include "kernels/packed.h"

namespace metier::kernels {

constexpr std::size_t kStripRanks = 16;
constexpr std::size_t StripCount(std::size_t rank) {
  return (rank + kStripRanks - 1) / kStripRanks;
}

// low[r][k] = sum over i of a[k][i] * x[r][i], for the ranks of one strip.
struct Shrink {
  const void* a = nullptr;  // the strip
  const float* x = nullptr;
  std::size_t x_stride = 0;
  float* low = nullptr;  // [rows, kStripRanks], rows low_stride floats apart
  std::size_t low_stride = 0;
  std::size_t rows = 0;
  std::size_t inner = 0;
};

// out[r][o] += scale * sum over k of b[o][k] * low[r][k], for the outputs of whole panels.
struct Expand {
  const void* b = nullptr;  // the first panel
  const float* low = nullptr;
  std::size_t low_stride = 0;
  float scale = 1;
  float* out = nullptr;
  std::size_t out_stride = 0;
  std::size_t rows = 0;
  std::size_t rank = 0;
  std::size_t outputs = 0;
};

struct LowRankKernels {
  void (*shrink)(const Shrink& product);
  void (*expand)(const Expand& product);
};

}  // namespace metier::kernels
