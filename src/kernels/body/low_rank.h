// kernels/body/low_rank.h - the products of kernels/low_rank.h.
#pragma once

#include <cstddef>
#include <cstring>

#include "kernels/body/fetch.h"
#include "kernels/body/lanes.h"
#include "kernels/body/quantise.h"
#include "kernels/kernel_table.h"

namespace metier::kernels::body {

// Chains of one sum: i mod kChains says which takes it. One alone would wait for each addition.
constexpr int kChains = 4;
static_assert(kFactorBlock % kChains == 0);

// Weights of A.
struct F32Factors {
  static constexpr FactorType kType = FactorType::kF32;
  static constexpr std::size_t kBytes = sizeof(float);
  template <class V>
  static V Load(const std::byte* p) {
    return V::Load(reinterpret_cast<const float*>(p));
  }
};
struct Int8Factors {
  static constexpr FactorType kType = FactorType::kInt8;
  static constexpr std::size_t kBytes = 1;
  template <class V>
  static V Load(const std::byte* p) {
    return V::LoadI8(p);
  }
};

// sums[r][c] += a[i] * x[r][i] for one i: `a` points at its ranks, `x` at row 0's value.
template <class V, class W, int R, int C>
METIER_INLINE void AddInner(const std::byte* a, const float* x, std::size_t x_stride,
                            V (&sums)[R][C]) {
  METIER_UNROLL
  for (int c = 0; c < C; ++c) {
    const V weights = W::template Load<V>(a + static_cast<std::size_t>(c) * V::kLanes * W::kBytes);
    METIER_UNROLL
    for (int r = 0; r < R; ++r) {
      const V value = V::Set(x[static_cast<std::size_t>(r) * x_stride]);
      sums[r][c] = MulAdd(value, weights, sums[r][c]);
    }
  }
}

// total[r][c] += scale * sum of the block's n products.
template <class V, class W, int R, int C>
METIER_INLINE void ShrinkBlock(const std::byte* a, const float* x, std::size_t x_stride,
                               std::size_t n, V (&total)[R][C]) {
  constexpr std::size_t kInnerBytes = kStripRanks * W::kBytes;
  const auto* scales = reinterpret_cast<const float*>(a);
  if constexpr (W::kType == FactorType::kInt8) a += kStripRanks * sizeof(float);
  V sums[kChains][R][C];
  METIER_UNROLL
  for (int j = 0; j < kChains; ++j) {
    METIER_UNROLL
    for (int r = 0; r < R; ++r) {
      METIER_UNROLL
      for (int c = 0; c < C; ++c) sums[j][r][c] = V::Zero();
    }
  }
  std::size_t i = 0;
  for (; i + kChains <= n; i += kChains, a += kChains * kInnerBytes, x += kChains) {
    METIER_UNROLL
    for (int j = 0; j < kChains; ++j)
      AddInner<V, W, R, C>(a + static_cast<std::size_t>(j) * kInnerBytes, x + j, x_stride, sums[j]);
  }
  METIER_UNROLL
  for (int j = 0; j < kChains - 1; ++j) {
    if (i + static_cast<std::size_t>(j) >= n) break;
    AddInner<V, W, R, C>(a + static_cast<std::size_t>(j) * kInnerBytes, x + j, x_stride, sums[j]);
  }
  METIER_UNROLL
  for (int c = 0; c < C; ++c) {
    METIER_UNROLL
    for (int r = 0; r < R; ++r) {
      const V sum = (sums[0][r][c] + sums[1][r][c]) + (sums[2][r][c] + sums[3][r][c]);
      if constexpr (W::kType == FactorType::kInt8) {
        const V scale = V::Load(scales + static_cast<std::size_t>(c) * V::kLanes);
        total[r][c] = MulAdd(sum, scale, total[r][c]);
      } else {
        total[r][c] = total[r][c] + sum;
      }
    }
  }
}

// The strip's values of a row, as the 8-bit Expand takes them.
template <class V>
void StoreDigits(float* low) {
  constexpr float kGreatest = 127 * 128 + 63;
  const CodeScale found = CodeScaleFor<V>(low, kStripRanks, kGreatest);
  LowDigits digits{};
  digits.scale = found.scale;
  const bool finite = found.scale == found.scale;  // else no code is worth anything
  for (std::size_t k = 0; k < kStripRanks && finite; ++k) {
    const float scaled = low[k] * found.inverse;
    const auto whole = static_cast<std::int32_t>(scaled + (scaled < 0 ? -0.5F : 0.5F));
    const std::int32_t high = (whole + 64) >> 7;
    digits.high[k] = static_cast<std::int8_t>(high);
    digits.low[k] = static_cast<std::int8_t>(whole - high * 128);
    digits.high_sum += high;
    digits.low_sum += whole - high * 128;
  }
  std::memcpy(low, &digits, sizeof(digits));
}

template <class V, class W, int R>
void ShrinkTile(const Shrink& p, std::size_t row) {
  constexpr int C = kStripRanks / V::kLanes;
  constexpr std::size_t kBlockBytes = StripBytes(W::kType, kFactorBlock);
  V total[R][C];
  METIER_UNROLL
  for (int r = 0; r < R; ++r) {
    METIER_UNROLL
    for (int c = 0; c < C; ++c) total[r][c] = V::Zero();
  }
  const float* x = p.x + row * p.x_stride;
  const std::byte* a = p.a;
  for (std::size_t i = 0; i < p.inner; i += kFactorBlock, a += kBlockBytes) {
    const std::size_t n = p.inner - i < kFactorBlock ? p.inner - i : kFactorBlock;
    // Streams are short, and each begins unannounced.
    for (std::size_t at = 0; at < kBlockBytes; at += kLine)
      __builtin_prefetch(a + 2 * kBlockBytes + at);
    ShrinkBlock<V, W, R, C>(a, x + i, p.x_stride, n, total);
  }
  METIER_UNROLL
  for (int r = 0; r < R; ++r) {
    float* low = p.low + (row + static_cast<std::size_t>(r)) * p.low_stride;
    METIER_UNROLL
    for (int c = 0; c < C; ++c) total[r][c].Store(low + static_cast<std::size_t>(c) * V::kLanes);
    if constexpr (W::kType == FactorType::kInt8) StoreDigits<V>(low);
  }
}

template <class V, class W>
void ShrinkRows(const Shrink& p) {
  static_assert(kStripRanks % V::kLanes == 0);
  constexpr std::size_t R = V::kLanes == kStripRanks ? 4 : 1;
  std::size_t row = 0;
  for (; row + R <= p.rows; row += R) ShrinkTile<V, W, R>(p, row);
  for (; row < p.rows; ++row) ShrinkTile<V, W, 1>(p, row);
}

template <class V, int R, int C>
METIER_INLINE void SetZero(V (&sums)[R][C]) {
  METIER_UNROLL
  for (int r = 0; r < R; ++r) {
    METIER_UNROLL
    for (int c = 0; c < C; ++c) sums[r][c] = V::Zero();
  }
}

struct ExpandF32 {
  static constexpr FactorType kType = FactorType::kF32;

  // sums[r][c] = sum over k of b[k] * low[r][k], for the outputs from `output` of a panel.
  template <class V, int R, int C>
  METIER_INLINE static void Sum(const Expand& p, const std::byte* panel, std::size_t output,
                                const float* low, V (&sums)[R][C]) {
    SetZero(sums);
    const float* b = reinterpret_cast<const float*>(panel) + output;
    for (std::size_t k = 0; k < p.rank; ++k, b += kPanelOutputs) {
      V weights[C];
      METIER_UNROLL
      for (int c = 0; c < C; ++c) weights[c] = V::Load(b + static_cast<std::size_t>(c) * V::kLanes);
      METIER_UNROLL
      for (int r = 0; r < R; ++r) {
        const V value = V::Set(low[static_cast<std::size_t>(r) * p.low_stride + k]);
        METIER_UNROLL
        for (int c = 0; c < C; ++c) sums[r][c] = MulAdd(value, weights[c], sums[r][c]);
      }
    }
  }
};

struct ExpandInt8 {
  static constexpr FactorType kType = FactorType::kInt8;

  template <class V, int R, int C>
  METIER_INLINE static void Sum(const Expand& p, const std::byte* panel, std::size_t output,
                                const float* low, V (&sums)[R][C]) {
    constexpr std::size_t kQuadBytes = kPanelOutputs * kQuadRanks;
    SetZero(sums);
    const std::byte* b = panel + kPanelOutputs * sizeof(std::uint16_t) + output * kQuadRanks;
    for (std::size_t k = 0; k < p.rank; k += kStripRanks) {
      const std::size_t quads = QuadCount(p.rank - k < kStripRanks ? p.rank - k : kStripRanks);
      LowDigits digits[R];
      typename V::Ints high[R][C];
      typename V::Ints last[R][C];
      METIER_UNROLL
      for (int r = 0; r < R; ++r) {
        std::memcpy(&digits[r], low + static_cast<std::size_t>(r) * p.low_stride + k,
                    sizeof(LowDigits));
        METIER_UNROLL
        for (int c = 0; c < C; ++c) {
          high[r][c] = V::Ints::Set(-128 * digits[r].high_sum);
          last[r][c] = V::Ints::Set(-128 * digits[r].low_sum);
        }
      }
      for (std::size_t quad = 0; quad < quads; ++quad, b += kQuadBytes) {
        METIER_UNROLL
        for (int c = 0; c < C; ++c) {
          const auto codes =
              V::Bytes::Load(b + static_cast<std::size_t>(c) * V::kLanes * kQuadRanks);
          METIER_UNROLL
          for (int r = 0; r < R; ++r) {
            const auto x = V::Bytes::Broadcast4(digits[r].high + quad * kQuadRanks);
            const auto y = V::Bytes::Broadcast4(digits[r].low + quad * kQuadRanks);
            high[r][c] = DotAddWide(high[r][c], codes, x);
            last[r][c] = DotAddWide(last[r][c], codes, y);
          }
        }
      }
      METIER_UNROLL
      for (int r = 0; r < R; ++r) {
        METIER_UNROLL
        for (int c = 0; c < C; ++c) {
          const V sum = MulAdd(V::FromInts(high[r][c]), V::Set(128.0F), V::FromInts(last[r][c]));
          sums[r][c] = MulAdd(sum, V::Set(digits[r].scale), sums[r][c]);
        }
      }
    }
    const auto* scales = reinterpret_cast<const std::uint16_t*>(panel) + output;
    METIER_UNROLL
    for (int c = 0; c < C; ++c) {
      const V scale = V::LoadBf16(scales + static_cast<std::size_t>(c) * V::kLanes);
      METIER_UNROLL
      for (int r = 0; r < R; ++r) sums[r][c] = sums[r][c] * scale;
    }
  }
};

// Outputs [output, output + kTileVectors vectors), which lie in `panel`.
template <class V, class E, int R>
void ExpandTile(const Expand& p, const std::byte* panel, std::size_t row, std::size_t output) {
  constexpr int C = V::kTileVectors;
  V sums[R][C];
  E::template Sum<V, R, C>(p, panel, output % kPanelOutputs, p.low + row * p.low_stride, sums);
  const V scale = V::Set(p.scale);
  METIER_UNROLL
  for (int c = 0; c < C; ++c) {
    const std::size_t o = output + static_cast<std::size_t>(c) * V::kLanes;
    if (o >= p.outputs) return;
    const std::size_t n = p.outputs - o < V::kLanes ? p.outputs - o : V::kLanes;
    METIER_UNROLL
    for (int r = 0; r < R; ++r) {
      float* out = p.out + (row + static_cast<std::size_t>(r)) * p.out_stride + o;
      StoreUpTo(MulAdd(sums[r][c], scale, LoadUpTo<V>(out, n)), out, n);
    }
  }
}

template <class V, class E>
void ExpandRows(const Expand& p) {
  constexpr std::size_t kWide = V::kTileVectors * V::kLanes;
  static_assert(kPanelOutputs % kWide == 0);
  constexpr std::size_t R = E::kType == FactorType::kF32 ? 4 : 2;
  const std::size_t panel_bytes = PanelBytes(E::kType, p.rank);
  for (std::size_t output = 0; output < p.outputs; output += kWide) {
    const std::byte* panel = p.b + output / kPanelOutputs * panel_bytes;
    std::size_t row = 0;
    for (; row + R <= p.rows; row += R) ExpandTile<V, E, R>(p, panel, row, output);
    for (; row < p.rows; ++row) ExpandTile<V, E, 1>(p, panel, row, output);
  }
}

template <class V, class W, class E>
constexpr LowRankKernels LowRankKernelsOf() {
  return {.shrink = &ShrinkRows<V, W>, .expand = &ExpandRows<V, E>};
}

}  // namespace metier::kernels::body
