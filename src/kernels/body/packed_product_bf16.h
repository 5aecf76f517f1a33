// kernels/body/packed_product_bf16.h - packed bfloat16 weights times activations rounded to
// bfloat16, with sums in float: twice the arithmetic of floats where an instruction has it.
#pragma once

#include "kernels/body/packed_product.h"

namespace metier::kernels::body {

// sums[r][0, C vectors) = (first ? 0 : sums) + R rows of x times `pairs` pairs of inner indices.
template <class V, int R, int C>
METIER_INLINE void PairTile(const std::byte* w, const std::uint16_t* x, std::size_t x_stride,
                            std::size_t pairs, bool first, float* sums) {
  V acc[R][C];
  METIER_UNROLL
  for (int r = 0; r < R; ++r) {
    METIER_UNROLL
    for (int c = 0; c < C; ++c)
      acc[r][c] = first ? V::Zero() : V::Load(sums + r * kPanelOutputs + c * V::kLanes);
  }
  for (std::size_t i = 0; i < pairs; ++i) {
    typename V::Bytes weights[C];
    METIER_UNROLL
    for (int c = 0; c < C; ++c)
      weights[c] = V::Bytes::Load(w + i * kCodeRow + static_cast<std::size_t>(c) * 4 * V::kLanes);
    METIER_UNROLL
    for (int r = 0; r < R; ++r) {
      const auto* pair = reinterpret_cast<const std::int8_t*>(x + r * x_stride + 2 * i);
      const typename V::Bytes both = V::Bytes::Broadcast4(pair);
      METIER_UNROLL
      for (int c = 0; c < C; ++c) acc[r][c] = DotPairs(acc[r][c], weights[c], both);
    }
  }
  METIER_UNROLL
  for (int r = 0; r < R; ++r) {
    METIER_UNROLL
    for (int c = 0; c < C; ++c) acc[r][c].Store(sums + r * kPanelOutputs + c * V::kLanes);
  }
}

template <class V, int R>
void PairTiles(const std::byte* w, const std::uint16_t* x, std::size_t x_stride, std::size_t pairs,
               bool first, float* parked) {
  constexpr int C = V::kTileVectors;
  for (std::size_t o = 0; o < kPanelOutputs; o += C * V::kLanes)
    PairTile<V, R, C>(w + 4 * o, x, x_stride, pairs, first, parked + o);
}

template <class V>
void MultiplyBf16Pairs(const PackedProduct& p) {
  alignas(64) float parked[kPackedRows * kPanelOutputs];
  constexpr std::size_t R = V::kTileFloatRows;
  // Pairs whose weights, 16 KiB, stay in the first-level cache for all rows.
  constexpr std::size_t kPairs = 64;
  const std::size_t all = (p.inner + 1) / 2;
  FetchAhead ahead(p, PanelsOf(p) * ((all + kPairs - 1) / kPairs));
  for (std::size_t row = 0; row < p.rows; row += kPackedRows) {
    const std::size_t rows = p.rows - row < kPackedRows ? p.rows - row : kPackedRows;
    for (std::size_t output = 0; output < p.outputs; output += kPanelOutputs) {
      const std::byte* panel = p.w + output / kPanelOutputs * p.panel_bytes;
      for (std::size_t i = 0; i < all; i += kPairs) {
        const std::size_t n = all - i < kPairs ? all - i : kPairs;
        ahead.Next();
        const std::byte* w = panel + i * kCodeRow;
        const std::uint16_t* x = p.x_bf16 + row * p.x_bf16_stride + 2 * i;
        std::size_t r = 0;
        const auto take = [&](auto tile, std::size_t count) {
          for (; r + count <= rows; r += count)
            tile(w, x + r * p.x_bf16_stride, p.x_bf16_stride, n, i == 0,
                 parked + r * kPanelOutputs);
        };
        take(&PairTiles<V, R>, R);
        take(&PairTiles<V, 2>, 2);
        take(&PairTiles<V, 1>, 1);
      }
      FinishPanel<V>(p, row, rows, output, parked);
    }
  }
}

}  // namespace metier::kernels::body
