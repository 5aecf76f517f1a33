// kernels/low_rank.h - the two skinny products of an adapter of low rank, y += scale * B (A x) (Hu
// et al., "LoRA", 2021, equation 3), over factors laid out to be read in one stream:
//
//   A [rank, in]    strips of kStripRanks ranks, zeros behind the last rank
//   B [out, rank]   panels of kPanelOutputs outputs, zeros behind the last output
//
//           strip                                            panel
//   kF32    [in, kStripRanks] floats                         [rank, kPanelOutputs] floats
//   kInt8   for each kFactorBlock inner indices kStripRanks   kPanelOutputs scales in bfloat16,
//   then
//           scales in float, then codes [n, kStripRanks]      codes [quads, kPanelOutputs, 4]
//
// A weight in 8 bits is scale * code, |code| <= 127. Codes of B have 128 added, and those of four
// ranks (a quad) lie side by side, as the dot products of bytes want them; between the factors
// activations have two digits of 7 bits then (LowDigits), so that the rounding of 8-bit products is
// that of the weights alone.
//
// Lanes are ranks or outputs, so no sum crosses lanes, and a row's bits depend on nothing but
// itself.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/packed.h"

namespace metier::kernels {

enum class FactorType : std::uint8_t { kF32, kInt8 };

constexpr std::size_t kStripRanks = 16;
constexpr std::size_t kFactorBlock = 128;
constexpr std::size_t StripCount(std::size_t rank) {
  return (rank + kStripRanks - 1) / kStripRanks;
}
constexpr std::size_t kQuadRanks = 4;
constexpr std::size_t QuadCount(std::size_t rank) { return (rank + kQuadRanks - 1) / kQuadRanks; }
constexpr std::size_t StripBytes(FactorType type, std::size_t inner) {
  if (type == FactorType::kF32) return inner * kStripRanks * sizeof(float);
  const std::size_t blocks = (inner + kFactorBlock - 1) / kFactorBlock;
  return blocks * kStripRanks * sizeof(float) + inner * kStripRanks;
}
constexpr std::size_t PanelBytes(FactorType type, std::size_t rank) {
  if (type == FactorType::kF32) return rank * kPanelOutputs * sizeof(float);
  return kPanelOutputs * sizeof(std::uint16_t) + QuadCount(rank) * kPanelOutputs * kQuadRanks;
}

// What a strip's place of Shrink::low holds for kInt8: low[k] is about scale * (128 * high[k] +
// low[k]).
struct LowDigits {
  std::int8_t high[kStripRanks];
  std::int8_t low[kStripRanks];
  std::int32_t high_sum;
  std::int32_t low_sum;
  float scale;
};
static_assert(sizeof(LowDigits) <= kStripRanks * sizeof(float));

// low[r][k] = sum over i of a[k][i] * x[r][i], for the ranks of one strip.
struct Shrink {
  const std::byte* a = nullptr;  // the strip
  const float* x = nullptr;
  std::size_t x_stride = 0;
  float* low = nullptr;  // [rows, kStripRanks] or a LowDigits each; rows low_stride floats apart
  std::size_t low_stride = 0;
  std::size_t rows = 0;
  std::size_t inner = 0;
};

// out[r][o] += scale * sum over k of b[o][k] * low[r][k], for the outputs of whole panels.
struct Expand {
  const std::byte* b = nullptr;  // the first panel
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
