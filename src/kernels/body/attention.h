// kernels/body/attention.h - softmax attention over pages of keys and values, with a running
// maximum.
//
// Online softmax (Milakov and Gimelshein 2018; Dao et al. 2022): per page, scores of a tile of
// queries, then max, sum and weighted values are corrected once by exp(old max - new max). Pages
// start at fixed positions and each row walks them from its first visible key to its last, so a
// query gives the same bits whether it is computed alone or inside a long prefill.
#pragma once

#include "kernels/body/elementwise.h"
#include "kernels/body/product.h"

namespace metier::kernels::body {

// Keys [first, last) that the query at `position` sees.
struct Visible {
  std::size_t first;
  std::size_t last;
};

template <class V>
Visible VisibleTo(const Attention& a, std::size_t position) {
  const std::size_t last = a.causal ? position + 1 : a.length;
  const std::size_t first = a.window != 0 && position + 1 > a.window ? position + 1 - a.window : 0;
  return {first, last};
}

// out += sum over j of p[j] * v[j], keys in ascending order. v: [keys, head_dim].
template <class V>
void AddWeightedValues(const float* p, const float* v, std::size_t keys, std::size_t head_dim,
                       float* out) {
  constexpr std::size_t kVectors = 4;
  std::size_t d = 0;
  for (; d + kVectors * V::kLanes <= head_dim; d += kVectors * V::kLanes) {
    V acc[kVectors];
    METIER_UNROLL
    for (std::size_t c = 0; c < kVectors; ++c) acc[c] = V::Load(out + d + c * V::kLanes);
    for (std::size_t j = 0; j < keys; ++j) {
      const V weight = V::Set(p[j]);
      METIER_UNROLL
      for (std::size_t c = 0; c < kVectors; ++c)
        acc[c] = MulAdd(weight, V::Load(v + j * head_dim + d + c * V::kLanes), acc[c]);
    }
    METIER_UNROLL
    for (std::size_t c = 0; c < kVectors; ++c) acc[c].Store(out + d + c * V::kLanes);
  }
  for (; d < head_dim; d += V::kLanes) {
    const std::size_t n = head_dim - d < V::kLanes ? head_dim - d : V::kLanes;
    V acc = LoadUpTo<V>(out + d, n);
    for (std::size_t j = 0; j < keys; ++j)
      acc = MulAdd(V::Set(p[j]), LoadUpTo<V>(v + j * head_dim + d, n), acc);
    StoreUpTo(acc, out + d, n);
  }
}

// Running state of one query.
struct RowState {
  float max = 0;
  float sum = 0;
  bool seen = false;  // no key yet: max and sum mean nothing
};

// Takes the keys [0, keys) of a page, whose scores are given, into the state and `out`.
template <class V>
void TakeScores(float* scores, const float* v, std::size_t keys, std::size_t head_dim,
                RowState& state, float* out) {
  float max = LargestOf<V>(scores, keys);
  if (state.seen && state.max > max) max = state.max;
  const float sum = ExpShifted<V>(scores, keys, max);
  if (state.seen) {
    float shift[V::kLanes];
    Exp(V::Set(state.max - max)).Store(shift);
    state.sum = state.sum * shift[0] + sum;
    Scale<V>(out, shift[0], head_dim);
  } else {
    state.sum = sum;
  }
  state.max = max;
  state.seen = true;
  AddWeightedValues<V>(scores, v, keys, head_dim, out);
}

template <class V>
void AttendRows(const Attention& a, std::size_t row, std::size_t rows) {
  RowState states[V::kTileRows];
  float scores[V::kTileRows * kPageTokens];
  for (std::size_t r = 0; r < rows; ++r) {
    float* out = a.out + (row + r) * a.out_stride;
    for (std::size_t d = 0; d < a.head_dim; ++d) out[d] = 0;
  }
  const std::size_t position = a.first_position + row;
  const std::size_t begin = VisibleTo<V>(a, position).first;
  const std::size_t end = VisibleTo<V>(a, position + rows - 1).last;
  for (std::size_t page = begin / kPageTokens; page * kPageTokens < end; ++page) {
    const std::size_t start = page * kPageTokens;
    const std::size_t from = begin > start ? begin - start : 0;
    const std::size_t to = end - start < kPageTokens ? end - start : kPageTokens;
    Product product;
    product.x = a.q + row * a.q_stride;
    product.x_stride = a.q_stride;
    product.w = a.k[page] + from * a.head_dim;
    product.out = scores;
    product.out_stride = kPageTokens;
    product.rows = rows;
    product.inner = a.head_dim;
    product.outputs = to - from;
    Multiply<V, F32Weights>(product);
    for (std::size_t r = 0; r < rows; ++r) {
      const Visible visible = VisibleTo<V>(a, position + r);
      const std::size_t first = visible.first > start + from ? visible.first : start + from;
      const std::size_t last = visible.last < start + to ? visible.last : start + to;
      if (first >= last) continue;
      float* mine = scores + r * kPageTokens + (first - start - from);
      for (std::size_t j = first; j < last; ++j) {
        const float distance = static_cast<float>(j) - static_cast<float>(position + r);
        mine[j - first] = a.slope == 0 ? mine[j - first] * a.scale
                                       : mine[j - first] * a.scale + a.slope * distance;
      }
      TakeScores<V>(mine, a.v[page] + (first - start) * a.head_dim, last - first, a.head_dim,
                    states[r], a.out + (row + r) * a.out_stride);
    }
  }
  for (std::size_t r = 0; r < rows; ++r) {
    float* out = a.out + (row + r) * a.out_stride;
    const float sum = states[r].sum;
    Map<V>(out, out, a.head_dim, [&](V x, std::size_t, std::size_t) { return x / V::Set(sum); });
  }
}

template <class V>
void Attend(const Attention& a) {
  for (std::size_t row = 0; row < a.rows; row += V::kTileRows) {
    const std::size_t rows = a.rows - row < V::kTileRows ? a.rows - row : V::kTileRows;
    AttendRows<V>(a, row, rows);
  }
}

}  // namespace metier::kernels::body
