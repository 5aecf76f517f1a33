// kernels/body/quantise.h - a row of activations in 8 bits, a scale for each block of kBlockInner.
#pragma once

#include "kernels/body/lanes.h"
#include "kernels/packed.h"

namespace metier::kernels::body {

// Adding half a unit in the last place, less one where the place before it is even, carries where
// rounding must; a NaN stays one.
template <class V>
void RoundBf16(const float* x, std::size_t n, std::uint16_t* out) {
  for (std::size_t i = 0; i < n; ++i) {
    std::uint32_t bits = 0;
    __builtin_memcpy(&bits, x + i, sizeof(bits));
    const std::uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
    const bool nan = (bits & 0x7fffffffU) > 0x7f800000U;
    out[i] = static_cast<std::uint16_t>(nan ? (bits >> 16) | 64U : rounded);
  }
}

// Writes row `row` of `rows` (layout: QuantisedRows). A block with a value that is not finite gets
// the scale NaN, so that it is not hidden.
template <class V>
void QuantiseRow(const float* x, std::size_t inner, std::size_t row, std::size_t rows,
                 std::int8_t* q, float* scale, std::int32_t* sums) {
  for (std::size_t block = 0; block * kBlockInner < inner; ++block) {
    const float* from = x + block * kBlockInner;
    const std::size_t left = inner - block * kBlockInner;
    float padded[kBlockInner];
    if (left < kBlockInner) {
      for (std::size_t i = 0; i < kBlockInner; ++i) padded[i] = i < left ? from[i] : 0.0F;
      from = padded;
    }
    V largest = V::Zero();
    V poison = V::Zero();  // 0 * x: NaN for what is not finite
    for (std::size_t i = 0; i < kBlockInner; i += V::kLanes) {
      const V value = V::Load(from + i);
      largest = Max(Max(value, V::Zero() - value), largest);
      poison = MulAdd(value, V::Zero(), poison);
    }
    const float most = ReduceMax(largest);
    const std::size_t at = block * rows + row;
    scale[at] = most / 127.0F + ReduceAdd(poison);
    const V inverse = V::Set(most >= __FLT_MIN__ ? 127.0F / most : 0.0F);
    std::int8_t* out = q + at * kBlockInner;
    for (std::size_t i = 0; i < kBlockInner; i += V::kLanes)
      RoundToInteger(V::Load(from + i) * inverse).StoreI8(out + i);
    std::int32_t quads[kBlockInner / 4];
    for (std::size_t i = 0; i < kBlockInner; i += 4 * V::kLanes) {
      const auto bytes = V::Bytes::Load(reinterpret_cast<const std::byte*>(out + i));
      DotAdd(V::Ints::Set(0), V::Bytes::Set(1), bytes).Store(quads + i / 4);
    }
    std::int32_t* block_sums = sums + at * kBlockSums;
    for (std::size_t s = 0; s < kBlockSums; ++s) {
      const std::int32_t* four = quads + s * (kSumInner / 4);
      block_sums[s] = (four[0] + four[1]) + (four[2] + four[3]);
    }
  }
}

}  // namespace metier::kernels::body
