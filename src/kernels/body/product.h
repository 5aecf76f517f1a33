// kernels/body/product.h - dot products and the matrix product, tiled in registers.
//
// Each result has one accumulator vector that runs over the inner dimension from start to end, then
// its lanes are added in a tree. Tiles (R x O results at once) and chunks (part of the inner
// dimension at a time, sums parked in between) only decide how often a loaded vector is used, never
// an order of additions: that is what makes rows independent of the batch.
#pragma once

#include "kernels/body/lanes.h"
#include "kernels/kernel_table.h"

namespace metier::kernels::body {

// Rows that take a tile of weights together; bounds the parked sums.
inline constexpr int kBlockRows = 64;
// Part of the inner dimension that a tile of weights is packed for: (4 + 6) * 512 floats are 20
// KiB, which the first-level cache holds. Unpacked rows of a power of two lie in the same cache
// sets and push each other out.
inline constexpr std::size_t kChunk = 512;

// Adds the products of [from, to) to the accumulators.
template <class V, class W, int R, int O>
void Accumulate(const float* x, std::size_t x_stride, const typename W::Element* w,
                std::size_t w_stride, std::size_t n, V (&acc)[R][O]) {
  std::size_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    V rows[R];
    METIER_UNROLL
    for (int r = 0; r < R; ++r) rows[r] = V::Load(x + r * x_stride + i);
    METIER_UNROLL
    for (int o = 0; o < O; ++o) {
      const V weights = W::template Load<V>(w + o * w_stride + i);
      METIER_UNROLL
      for (int r = 0; r < R; ++r) acc[r][o] = MulAdd(rows[r], weights, acc[r][o]);
    }
  }
  if (i == n) return;
  V rows[R];
  METIER_UNROLL
  for (int r = 0; r < R; ++r) rows[r] = LoadPart<V>(x + r * x_stride + i, n - i);
  METIER_UNROLL
  for (int o = 0; o < O; ++o) {
    const V weights = LoadWeightsPart<V, W>(w + o * w_stride + i, n - i);
    METIER_UNROLL
    for (int r = 0; r < R; ++r) acc[r][o] = MulAdd(rows[r], weights, acc[r][o]);
  }
}

template <class V>
float Dot(const float* a, const float* b, std::size_t n) {
  V acc[1][1] = {{V::Zero()}};
  Accumulate<V, F32Weights, 1, 1>(a, 0, b, 0, n, acc);
  return ReduceAdd(acc[0][0]);
}

// Where a tile stands, and which part of the inner dimension it takes now.
struct TilePlace {
  std::size_t row;
  std::size_t output;
  std::size_t from;
  std::size_t to;
  std::size_t w_stride;
  float* parked;  // R * O vectors: sums of [0, from), and of [0, to) afterwards
};

// w: the tile's weights from `from` on, rows w_stride apart.
template <class V, class W, int R, int O>
void TileChunk(const Product& p, const TilePlace& place, const typename W::Element* w) {
  V acc[R][O];
  METIER_UNROLL
  for (int r = 0; r < R; ++r) {
    METIER_UNROLL
    for (int o = 0; o < O; ++o)
      acc[r][o] = place.from == 0 ? V::Zero() : V::Load(place.parked + (r * O + o) * V::kLanes);
  }
  Accumulate<V, W, R, O>(p.x + place.row * p.x_stride + place.from, p.x_stride, w, place.w_stride,
                         place.to - place.from, acc);
  if (place.to < p.inner) {
    METIER_UNROLL
    for (int r = 0; r < R; ++r) {
      METIER_UNROLL
      for (int o = 0; o < O; ++o) acc[r][o].Store(place.parked + (r * O + o) * V::kLanes);
    }
    return;
  }
  float sums[R][O];
  METIER_UNROLL
  for (int r = 0; r < R; ++r) {
    METIER_UNROLL
    for (int o = 0; o < O; ++o) sums[r][o] = ReduceAdd(acc[r][o]);
  }
  for (int r = 0; r < R; ++r) {
    float* out = p.out + (place.row + r) * p.out_stride + place.output;
    for (int o = 0; o < O; ++o)
      out[o] = p.bias == nullptr ? sums[r][o] : sums[r][o] + p.bias[place.output + o];
  }
}

// All rows of [begin, end) for O outputs: full tiles, then the rest with a smaller one.
template <class V, class W, int O>
void Rows(const Product& p, TilePlace place, std::size_t end, const typename W::Element* w) {
  for (; place.row + V::kTileRows <= end; place.row += V::kTileRows) {
    TileChunk<V, W, V::kTileRows, O>(p, place, w);
    place.parked += V::kTileRows * O * V::kLanes;
  }
  const std::size_t left = end - place.row;
  if constexpr (V::kTileRows > 3) {
    if (left == 3) TileChunk<V, W, 3, O>(p, place, w);
  }
  if constexpr (V::kTileRows > 2) {
    if (left == 2) TileChunk<V, W, 2, O>(p, place, w);
  }
  if (left == 1) TileChunk<V, W, 1, O>(p, place, w);
}

template <class V, class W, int O>
void Column(const Product& p, std::size_t begin, std::size_t end, std::size_t output) {
  const auto* w = static_cast<const typename W::Element*>(p.w) + output * p.inner;
  if (end - begin <= V::kTileRows) {  // nothing is used twice: the weights stream by as they are
    return Rows<V, W, O>(p, {begin, output, 0, p.inner, p.inner, nullptr}, end, w);
  }
  float parked[kBlockRows * O * V::kLanes];
  float packed[O * kChunk];
  std::size_t from = 0;
  do {
    const std::size_t n = p.inner - from < kChunk ? p.inner - from : kChunk;
    for (int o = 0; o < O; ++o) {
      const typename W::Element* row = w + o * p.inner + from;
      std::size_t i = 0;
      for (; i + V::kLanes <= n; i += V::kLanes)
        W::template Load<V>(row + i).Store(packed + o * kChunk + i);
      if (i < n) LoadWeightsPart<V, W>(row + i, n - i).Store(packed + o * kChunk + i);
    }
    Rows<V, F32Weights, O>(p, {begin, output, from, from + n, kChunk, parked}, end, packed);
    from += n;
  } while (from < p.inner);
}

// Rows are taken in blocks that stay in the second-level cache while all weights pass by once per
// block; outputs are the outer loop of a block, so a tile of weights is read from memory once.
template <class V, class W>
void Multiply(const Product& p) {
  static_assert(V::kTileRows <= 4 && kBlockRows % V::kTileRows == 0);
  for (std::size_t begin = 0; begin < p.rows; begin += kBlockRows) {
    const std::size_t end = p.rows - begin < kBlockRows ? p.rows : begin + kBlockRows;
    std::size_t output = 0;
    for (; output + V::kTileOutputs <= p.outputs; output += V::kTileOutputs)
      Column<V, W, V::kTileOutputs>(p, begin, end, output);
    for (; output < p.outputs; ++output) Column<V, W, 1>(p, begin, end, output);
  }
}

}  // namespace metier::kernels::body
