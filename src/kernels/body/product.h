// kernels/body/product.h - dot products and the matrix product, tiled in registers.
//
// Each result has one accumulator vector that runs over the inner dimension from start to end, then
// its lanes are added in a tree. The tile (R x O results at once) only decides how often a loaded
// vector is used, never an order of additions: that is what makes rows independent of the batch.
#pragma once

#include "kernels/body/lanes.h"
#include "kernels/kernel_table.h"

namespace metier::kernels::body {

// sums[r][o] = x row r . w row o.
template <class V, class W, int R, int O>
void Tile(const float* x, std::size_t x_stride, const typename W::Element* w, std::size_t inner,
          float (&sums)[R][O]) {
  V acc[R][O];
  METIER_UNROLL
  for (int r = 0; r < R; ++r) {
    METIER_UNROLL
    for (int o = 0; o < O; ++o) acc[r][o] = V::Zero();
  }
  std::size_t i = 0;
  for (; i + V::kLanes <= inner; i += V::kLanes) {
    V rows[R];
    METIER_UNROLL
    for (int r = 0; r < R; ++r) rows[r] = V::Load(x + r * x_stride + i);
    METIER_UNROLL
    for (int o = 0; o < O; ++o) {
      const V weights = W::template Load<V>(w + o * inner + i);
      METIER_UNROLL
      for (int r = 0; r < R; ++r) acc[r][o] = MulAdd(rows[r], weights, acc[r][o]);
    }
  }
  if (i < inner) {
    const std::size_t left = inner - i;
    METIER_UNROLL
    for (int o = 0; o < O; ++o) {
      const V weights = LoadWeightsPart<V, W>(w + o * inner + i, left);
      METIER_UNROLL
      for (int r = 0; r < R; ++r)
        acc[r][o] = MulAdd(LoadPart<V>(x + r * x_stride + i, left), weights, acc[r][o]);
    }
  }
  METIER_UNROLL
  for (int r = 0; r < R; ++r) {
    METIER_UNROLL
    for (int o = 0; o < O; ++o) sums[r][o] = ReduceAdd(acc[r][o]);
  }
}

template <class V>
float Dot(const float* a, const float* b, std::size_t n) {
  float sums[1][1];
  Tile<V, F32Weights, 1, 1>(a, 0, b, n, sums);
  return sums[0][0];
}

// R rows from `row` on, O outputs from `output` on.
template <class V, class W, int R, int O>
void TileInto(const Product& p, std::size_t row, std::size_t output) {
  float sums[R][O];
  Tile<V, W, R, O>(p.x + row * p.x_stride, p.x_stride,
                   static_cast<const typename W::Element*>(p.w) + output * p.inner, p.inner, sums);
  for (int r = 0; r < R; ++r) {
    float* out = p.out + (row + r) * p.out_stride + output;
    for (int o = 0; o < O; ++o)
      out[o] = p.bias == nullptr ? sums[r][o] : sums[r][o] + p.bias[output + o];
  }
}

// All rows of [row, end) for O outputs: full tiles, then the rest with a smaller one.
template <class V, class W, int O>
void Column(const Product& p, std::size_t row, std::size_t end, std::size_t output) {
  for (; row + V::kTileRows <= end; row += V::kTileRows)
    TileInto<V, W, V::kTileRows, O>(p, row, output);
  if constexpr (V::kTileRows > 3) {
    if (end - row == 3) return TileInto<V, W, 3, O>(p, row, output);
  }
  if constexpr (V::kTileRows > 2) {
    if (end - row == 2) return TileInto<V, W, 2, O>(p, row, output);
  }
  if (end - row == 1) TileInto<V, W, 1, O>(p, row, output);
}

// Rows are taken in blocks that stay in the second-level cache while all weights pass by once per
// block; outputs are the outer loop of a block, so a tile of weights is read from memory once.
template <class V, class W>
void Multiply(const Product& p) {
  static_assert(V::kTileRows <= 4);
  constexpr std::size_t kBlockBytes = std::size_t{512} << 10;
  std::size_t block = kBlockBytes / sizeof(float) / (p.inner + 1) / V::kTileRows * V::kTileRows;
  if (block == 0) block = V::kTileRows;
  for (std::size_t begin = 0; begin < p.rows; begin += block) {
    const std::size_t end = begin + block < p.rows ? begin + block : p.rows;
    std::size_t output = 0;
    for (; output + V::kTileOutputs <= p.outputs; output += V::kTileOutputs)
      Column<V, W, V::kTileOutputs>(p, begin, end, output);
    for (; output < p.outputs; ++output) Column<V, W, 1>(p, begin, end, output);
  }
}

}  // namespace metier::kernels::body
