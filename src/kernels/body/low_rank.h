// kernels/body/low_rank.h - the products of kernels/low_rank.h.
#pragma once

#include "kernels/body/lanes.h"
#include "kernels/kernel_table.h"

namespace metier::kernels::body {

// Chains of one sum: i mod kChains says which takes it. One alone would wait for each addition.
constexpr int kChains = 4;

// sums[r][c] += a[i] * x[r][i] for one i: `a` points at its ranks, `x` at row 0's value.
template <class V, class W, int R, int C>
METIER_INLINE void AddInner(const typename W::Element* a, const float* x, std::size_t x_stride,
                            V (&sums)[R][C]) {
  METIER_UNROLL
  for (int c = 0; c < C; ++c) {
    const V weights = W::template Load<V>(a + static_cast<std::size_t>(c) * V::kLanes);
    METIER_UNROLL
    for (int r = 0; r < R; ++r) {
      const V value = V::Set(x[static_cast<std::size_t>(r) * x_stride]);
      sums[r][c] = MulAdd(value, weights, sums[r][c]);
    }
  }
}

template <class V, class W, int R>
void ShrinkTile(const Shrink& p, std::size_t row) {
  constexpr int C = kStripRanks / V::kLanes;
  const auto* a = static_cast<const typename W::Element*>(p.a);
  const float* x = p.x + row * p.x_stride;
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
  for (; i + kChains <= p.inner; i += kChains, a += kChains * kStripRanks, x += kChains) {
    METIER_UNROLL
    for (int j = 0; j < kChains; ++j)
      AddInner<V, W, R, C>(a + static_cast<std::size_t>(j) * kStripRanks, x + j, p.x_stride,
                           sums[j]);
  }
  METIER_UNROLL
  for (int j = 0; j < kChains - 1; ++j) {
    if (i + static_cast<std::size_t>(j) >= p.inner) break;
    AddInner<V, W, R, C>(a + static_cast<std::size_t>(j) * kStripRanks, x + j, p.x_stride, sums[j]);
  }
  METIER_UNROLL
  for (int r = 0; r < R; ++r) {
    float* low = p.low + (row + static_cast<std::size_t>(r)) * p.low_stride;
    METIER_UNROLL
    for (int c = 0; c < C; ++c) {
      const V sum = (sums[0][r][c] + sums[1][r][c]) + (sums[2][r][c] + sums[3][r][c]);
      sum.Store(low + static_cast<std::size_t>(c) * V::kLanes);
    }
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

// Outputs [output, output + kTileVectors vectors) of a panel whose first is `b`.
template <class V, class W, int R>
void ExpandTile(const Expand& p, const typename W::Element* b, std::size_t row,
                std::size_t output) {
  constexpr int C = V::kTileVectors;
  V sums[R][C];
  METIER_UNROLL
  for (int r = 0; r < R; ++r) {
    METIER_UNROLL
    for (int c = 0; c < C; ++c) sums[r][c] = V::Zero();
  }
  const float* low = p.low + row * p.low_stride;
  for (std::size_t k = 0; k < p.rank; ++k, b += kPanelOutputs) {
    V weights[C];
    METIER_UNROLL
    for (int c = 0; c < C; ++c)
      weights[c] = W::template Load<V>(b + static_cast<std::size_t>(c) * V::kLanes);
    METIER_UNROLL
    for (int r = 0; r < R; ++r) {
      const V value = V::Set(low[static_cast<std::size_t>(r) * p.low_stride + k]);
      METIER_UNROLL
      for (int c = 0; c < C; ++c) sums[r][c] = MulAdd(value, weights[c], sums[r][c]);
    }
  }
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

template <class V, class W>
void ExpandRows(const Expand& p) {
  constexpr std::size_t kWide = V::kTileVectors * V::kLanes;
  static_assert(kPanelOutputs % kWide == 0);
  constexpr std::size_t R = 4;
  const auto* b = static_cast<const typename W::Element*>(p.b);
  for (std::size_t output = 0; output < p.outputs; output += kWide) {
    const auto* tile = b + output / kPanelOutputs * p.rank * kPanelOutputs + output % kPanelOutputs;
    std::size_t row = 0;
    for (; row + R <= p.rows; row += R) ExpandTile<V, W, R>(p, tile, row, output);
    for (; row < p.rows; ++row) ExpandTile<V, W, 1>(p, tile, row, output);
  }
}

template <class V, class W>
constexpr LowRankKernels LowRankKernelsOf() {
  return {.shrink = &ShrinkRows<V, W>, .expand = &ExpandRows<V, W>};
}

}  // namespace metier::kernels::body
