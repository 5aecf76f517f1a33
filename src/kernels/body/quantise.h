// kernels/body/quantise.h - numbers rounded to bfloat16, and to 8 bits with a scale: a row of
// activations has one for each block of kBlockInner.
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

// How numbers become codes: code = x * inverse, x is about code * scale.
struct CodeScale {
  float scale;  // the largest magnitude / the greatest code; NaN where a number is not finite, to
                // hide nothing
  float inverse;
};

template <class V>
CodeScale CodeScaleFor(const float* x, std::size_t n, float greatest_code) {
  V largest = V::Zero();
  V poison = V::Zero();  // 0 * x: NaN for what is not finite
  for (std::size_t i = 0; i < n; i += V::kLanes) {
    const V value = LoadUpTo<V>(x + i, n - i < V::kLanes ? n - i : V::kLanes);
    largest = Max(Max(value, V::Zero() - value), largest);
    poison = MulAdd(value, V::Zero(), poison);
  }
  const float most = ReduceMax(largest);
  constexpr float kLeast = 0x1p-112F;  // what is smaller is 0: its inverse would be infinite
  return {most / greatest_code + ReduceAdd(poison), most >= kLeast ? greatest_code / most : 0.0F};
}

// Codes and scale of one block of a row, of which `left` numbers are there.
template <class V>
void QuantiseBlock(const float* x, std::size_t left, std::int8_t* codes, float* scale) {
  float padded[kBlockInner];
  if (left < kBlockInner) {
    for (std::size_t i = 0; i < kBlockInner; ++i) padded[i] = i < left ? x[i] : 0.0F;
    x = padded;
  }
  const CodeScale found = CodeScaleFor<V>(x, kBlockInner, 127);
  *scale = found.scale;
  const V inverse = V::Set(found.inverse);
  for (std::size_t i = 0; i < kBlockInner; i += V::kLanes)
    RoundToInteger(V::Load(x + i) * inverse).StoreI8(codes + i);
}

template <class V>
void SumCodes(const std::int8_t* codes, std::int32_t* sums) {
  std::int32_t quads[kBlockInner / 4];
  for (std::size_t i = 0; i < kBlockInner; i += 4 * V::kLanes) {
    const auto bytes = V::Bytes::Load(reinterpret_cast<const std::byte*>(codes + i));
    DotAdd(V::Ints::Set(0), V::Bytes::Set(1), bytes).Store(quads + i / 4);
  }
  for (std::size_t s = 0; s < kBlockSums; ++s) {
    const std::int32_t* four = quads + s * (kSumInner / 4);
    sums[s] = (four[0] + four[1]) + (four[2] + four[3]);
  }
}

// Writes row `row` of `rows` (layout: QuantisedRows). A block with a value that is not finite gets
// the scale NaN.
template <class V>
void QuantiseRow(const float* x, std::size_t inner, std::size_t row, std::size_t rows,
                 std::int8_t* q, float* scale, std::int32_t* sums) {
  const std::size_t blocks = (inner + kBlockInner - 1) / kBlockInner;
  for (std::size_t block = 0, at = row; block < blocks; ++block, at += rows) {
    const std::size_t begin = block * kBlockInner;
    QuantiseBlock<V>(x + begin, inner - begin, q + at * kBlockInner, scale + at);
  }
  // Afterwards: a load wider than the stores before it waits until these have left the core.
  for (std::size_t block = 0, at = row; block < blocks; ++block, at += rows)
    SumCodes<V>(q + at * kBlockInner, sums + at * kBlockSums);
}

}  // namespace metier::kernels::body
