// kernels/body/attention.h - softmax attention over pages of keys and values, with a running
// maximum; P is what the pages keep their numbers as.
//
// Online softmax (Milakov and Gimelshein 2018; Dao et al. 2022): per page, scores of a tile of
// queries, then max, sum and weighted values are corrected once by exp(old max - new max). A page
// of keys is a panel of packed floats with a key where a product has an output, a page of values
// one with an output for each dimension, so both products are those of body/packed_product_f32.h:
// no sum crosses lanes, and codes become floats in the registers of the product. Heads that share
// keys share the tile. Pages start at fixed positions, each is taken whole with the keys that a
// query does not see masked, and pages that it does not see are not taken at all: a query gives the
// same bits whether it is computed alone or inside a long prefill.
#pragma once

#include "kernels/body/elementwise.h"
#include "kernels/body/kv_page.h"
#include "kernels/body/packed_product_f32.h"

namespace metier::kernels::body {

static_assert(kPageTokens == kPanelOutputs);

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

// One query of one head.
struct QueryState {
  const float* q = nullptr;
  float* out = nullptr;
  std::size_t position = 0;
  float slope = 0;
  float max = 0;
  float sum = 0;
  bool seen = false;  // no key yet: max and sum mean nothing
};

// scores[0, kPageTokens) become weights exp(score - max), 0 for keys that the query does not see,
// and `sums` [width], the weighted values so far, is brought to the new maximum.
template <class V>
void TakeScores(const Attention& a, std::size_t start, std::size_t width, QueryState& query,
                float* scores, float* sums) {
  const Visible visible = VisibleTo<V>(a, query.position);
  const std::size_t first = visible.first > start ? visible.first - start : 0;
  const std::size_t last = visible.last > start ? visible.last - start : 0;
  if (first >= kPageTokens || last == 0 || first >= last) {
    for (std::size_t j = 0; j < kPageTokens; ++j) scores[j] = 0;
    return;
  }
  Scale<V>(scores, a.scale, kPageTokens);
  if (query.slope != 0) {
    const float distance = static_cast<float>(start) - static_cast<float>(query.position);
    for (std::size_t j = 0; j < kPageTokens; ++j)
      scores[j] += query.slope * (distance + static_cast<float>(j));
  }
  for (std::size_t j = 0; j < first; ++j) scores[j] = -__builtin_inff();
  for (std::size_t j = last; j < kPageTokens; ++j) scores[j] = -__builtin_inff();
  float max = LargestOf<V>(scores, kPageTokens);
  if (query.seen && query.max > max) max = query.max;
  const float sum = ExpShifted<V>(scores, kPageTokens, max);
  if (query.seen && query.max != max) {
    float shift[V::kLanes];
    Exp(V::Set(query.max - max)).Store(shift);
    query.sum *= shift[0];
    Scale<V>(sums, shift[0], width);
  }
  query.sum = query.seen ? query.sum + sum : sum;
  query.max = max;
  query.seen = true;
}

// Of R rows [R, kPageTokens], each times the tokens' scales.
template <class V, int R>
void ScaleTokens(const float* scales, float* rows) {
  for (std::size_t j = 0; j < kPageTokens; j += V::kLanes) {
    const V scale = V::Load(scales + j);
    for (float* row = rows + j; row < rows + R * kPageTokens; row += kPageTokens)
      (V::Load(row) * scale).Store(row);
  }
}

// sums[r][0, width) += the keys' weights [R, kPageTokens] times values [keys, width].
template <class V, class P, int R>
void AddWeightedValues(const float* weights, const CodeOf<P>* values, std::size_t keys,
                       std::size_t width, float* sums) {
  using Codes = typename P::Codes;
  constexpr std::size_t kWide = V::kTileVectors * V::kLanes;
  const FloatRows rows{weights, kPageTokens};
  std::size_t d = 0;
  for (; d + kWide <= width; d += kWide)
    FloatTile<V, R, V::kTileVectors, Codes>(values + d, width, rows, keys, false, sums + d, width);
  for (; d < width; d += V::kLanes)
    FloatTile<V, R, 1, Codes>(values + d, width, rows, keys, false, sums + d, width);
}

// scores[r][kPageTokens] = q[r].k of a block of keys.
template <class V, class P, int R>
void ScoreKeys(const std::byte* block, const float* const (&q)[R], std::size_t head_dim,
               float* scores) {
  constexpr std::size_t kWide = V::kTileVectors * V::kLanes;
  for (std::size_t key = 0; key < kPageTokens; key += kWide) {
    FloatTile<V, R, V::kTileVectors, typename P::Codes>(Block<P>::Codes(block) + key, kPageTokens,
                                                        FloatPointers<R>{q}, head_dim, true,
                                                        scores + key, kPageTokens);
  }
  if constexpr (P::kScaled) ScaleTokens<V, R>(Block<P>::Scales(block, head_dim), scores);
}

// R queries, in the order of their positions.
template <class V, class P, int R>
void AttendTile(const Attention& a, QueryState (&queries)[R]) {
  const std::size_t width = PaddedHead(a.head_dim);
  alignas(64) float scores[R * kPageTokens];
  alignas(64) float sums[R * kMostHeadDim];
  for (std::size_t i = 0; i < R * width; ++i) sums[i] = 0;
  const float* q[R];
  for (int r = 0; r < R; ++r) q[r] = queries[r].q;
  const std::size_t begin = VisibleTo<V>(a, queries[0].position).first;
  const std::size_t end = VisibleTo<V>(a, queries[R - 1].position).last;
  for (std::size_t page = begin / kPageTokens; page * kPageTokens < end; ++page) {
    const std::size_t start = page * kPageTokens;
    ScoreKeys<V, P, R>(a.k[page], q, a.head_dim, scores);
    for (int r = 0; r < R; ++r)
      TakeScores<V>(a, start, width, queries[r], scores + r * kPageTokens, sums + r * width);
    if constexpr (P::kScaled) ScaleTokens<V, R>(Block<P>::Scales(a.v[page], width), scores);
    const std::size_t keys = end - start < kPageTokens ? end - start : kPageTokens;
    AddWeightedValues<V, P, R>(scores, Block<P>::Codes(a.v[page]), keys, width, sums);
  }
  for (int r = 0; r < R; ++r) {
    const V sum = V::Set(queries[r].sum);
    Map<V>(sums + r * width, queries[r].out, a.head_dim,
           [&](V x, std::size_t, std::size_t) { return x / sum; });
  }
}

// Queries from number `from` on: all heads of a token, then those of the next.
template <class V, class P, int R>
void AttendFrom(const Attention& a, std::size_t from) {
  QueryState queries[R];
  for (int r = 0; r < R; ++r) {
    const std::size_t token = (from + r) / a.heads;
    const std::size_t head = (from + r) % a.heads;
    queries[r].q = a.q + token * a.q_stride + head * a.head_dim;
    queries[r].out = a.out + token * a.out_stride + head * a.head_dim;
    queries[r].position = a.first_position + token;
    queries[r].slope = a.slopes == nullptr ? 0.0F : a.slopes[head];
  }
  AttendTile<V, P, R>(a, queries);
}

template <class V, class P>
void Attend(const Attention& a) {
  constexpr int R = V::kTileFloatRows;
  const std::size_t count = a.rows * a.heads;
  std::size_t from = 0;
  for (; from + R <= count; from += R) AttendFrom<V, P, R>(a, from);
  if (R > 4 && from + 4 <= count) {  // a token of a model whose groups have four heads
    AttendFrom<V, P, 4>(a, from);
    from += 4;
  }
  for (; from + 2 <= count; from += 2) AttendFrom<V, P, 2>(a, from);
  for (; from < count; ++from) AttendFrom<V, P, 1>(a, from);
}

}  // namespace metier::kernels::body
