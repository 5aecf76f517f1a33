// kernels/body/packed_product.h - packed weights times activations of 8 bits.
//
// Each lane sums for one output. Integer sums of a group (or its halves) are exact; they become
// floats times the weights' scale, are added up over a block of kBlockInner, then times the
// activations' scale to the result: one chain per result in one order, so its bits depend on
// neither the tile nor the batch. A code's zero enters as the first
// value of an integer sum, -zero * (sum of the activations), and costs nothing.
#pragma once

#include "kernels/body/fetch.h"
#include "kernels/body/packed_format.h"

// GCC hoists the loads of several quads and then spills the sums; this keeps it from doing so.
#define METIER_KEEP_ORDER __asm__ volatile("" ::: "memory")

namespace metier::kernels::body {

template <class V>
constexpr std::size_t kTileOutputsOf = V::kTileVectors* V::kLanes;

// Rows that take a panel together; bounds the parked results.
constexpr std::size_t kPackedRows = 256;
constexpr std::size_t kBlockGroups = kBlockInner / kGroupInner;

// The codes and scales of a block, unpacked into registers at each use: measured faster than a copy
// of unpacked bytes for any number of rows, six bits and hundreds of rows excepted (by 8 %).
template <class F>
struct StoredBlock {
  static constexpr bool kWide = F::Codes::kWide;
  static constexpr bool kOffset = F::Scales::kOffset;
  static constexpr int kHalves = F::Scales::kHalves;
  static constexpr std::int32_t Zero() { return F::Scales::kZero; }

  const std::byte* header;
  const std::byte* record;  // of the block's first group

  // A header covers whole blocks, so the block's groups lie one behind the other.
  static_assert(F::kHeaderGroups == 1 || F::kHeaderGroups % kBlockGroups == 0);

  template <class V, int kQuad>
  METIER_INLINE typename V::Bytes Quad(std::size_t g, std::size_t o) const {
    return F::Codes::template Quad<V, kQuad>(record + g * F::kRecord + 4 * o);
  }
  template <class V>
  METIER_INLINE V Scale(std::size_t g, int half, std::size_t o) const {
    return F::Scales::template Scale<V>(header, Scales(g), half, o);
  }
  template <class V>
  METIER_INLINE V Offset(std::size_t g, int half, std::size_t o) const {
    return OffsetOf<typename F::Scales, V>(header, Scales(g), half, o);
  }
  const std::byte* Scales(std::size_t g) const {
    return record + g * F::kRecord + F::Codes::kBytes;
  }
};

// The activations of one tile in one block.
struct BlockRows {
  const std::int8_t* q;      // of the tile's first row; rows kBlockInner apart
  const std::int32_t* sums;  // alike, kBlockSums apart
  const float* scale;        // one for each row
};

// sums[r][c] += codes of quad kQuad times the rows' activations.
template <class V, int kQuad, int R, int C, class Block>
METIER_INLINE void AddQuad(const Block& block, std::size_t g, std::size_t o, const std::int8_t* q,
                           typename V::Ints (&sums)[R][C]) {
  typename V::Bytes codes[C];
  METIER_UNROLL
  for (int c = 0; c < C; ++c)
    codes[c] = block.template Quad<V, kQuad>(g, o + static_cast<std::size_t>(c) * V::kLanes);
  METIER_UNROLL
  for (int r = 0; r < R; ++r) {
    METIER_KEEP_ORDER;
    const typename V::Bytes x =
        V::Bytes::Broadcast4(q + static_cast<std::size_t>(r) * kBlockInner + 4 * kQuad);
    METIER_UNROLL
    for (int c = 0; c < C; ++c) {
      sums[r][c] =
          Block::kWide ? DotAddWide(sums[r][c], codes[c], x) : DotAdd(sums[r][c], codes[c], x);
    }
  }
}

// Quads of a half (0: 0-3, 1: 4-7) or, for a whole group, all of them: those that share a row of
// nibbles side by side. A group's lines are fetched in between, its share after each of them.
template <class V, int kHalf, bool kWhole, int R, int C, class Block>
METIER_INLINE void AddQuads(const Block& block, std::size_t g, std::size_t o, const std::int8_t* q,
                            Fetch& fetch, typename V::Ints (&sums)[R][C]) {
  constexpr int kShares = kWhole ? 4 : 8;
  constexpr int kFirst = kWhole ? 0 : 4 * kHalf;
  AddQuad<V, 4 * kHalf + 0, R, C>(block, g, o, q, sums);
  if constexpr (kWhole) AddQuad<V, 4, R, C>(block, g, o, q, sums);
  fetch.template Next<kFirst + 0, kShares>();
  AddQuad<V, 4 * kHalf + 1, R, C>(block, g, o, q, sums);
  if constexpr (kWhole) AddQuad<V, 5, R, C>(block, g, o, q, sums);
  fetch.template Next<kFirst + 1, kShares>();
  AddQuad<V, 4 * kHalf + 2, R, C>(block, g, o, q, sums);
  if constexpr (kWhole) AddQuad<V, 6, R, C>(block, g, o, q, sums);
  fetch.template Next<kFirst + 2, kShares>();
  AddQuad<V, 4 * kHalf + 3, R, C>(block, g, o, q, sums);
  if constexpr (kWhole) AddQuad<V, 7, R, C>(block, g, o, q, sums);
  fetch.template Next<kFirst + 3, kShares>();
}

// One group, or one half of it: its weighted sums into the block's. `first`: the block's are empty.
template <class V, int kHalf, int R, int C, class Block>
METIER_INLINE void AddGroup(const Block& block, std::size_t g, std::size_t o, const BlockRows& rows,
                            bool first, Fetch& fetch, float* block_sums) {
  constexpr bool kWhole = Block::kHalves == 1;
  std::int32_t x_sums[R];
  typename V::Ints sums[R][C];
  METIER_UNROLL
  for (int r = 0; r < R; ++r) {
    const std::int32_t* s = rows.sums + static_cast<std::size_t>(r) * kBlockSums + 2 * g;
    x_sums[r] = kWhole ? s[0] + s[1] : s[kHalf];
    const typename V::Ints start = V::Ints::Set(-block.Zero() * x_sums[r]);
    METIER_UNROLL
    for (int c = 0; c < C; ++c) sums[r][c] = start;
  }
  AddQuads<V, kHalf, kWhole, R, C>(block, g, o, rows.q + g * kGroupInner, fetch, sums);
  METIER_UNROLL
  for (int c = 0; c < C; ++c) {
    const std::size_t lanes = o + static_cast<std::size_t>(c) * V::kLanes;
    const V scale = block.template Scale<V>(g, kHalf, lanes);
    METIER_UNROLL
    for (int r = 0; r < R; ++r) {
      float* at = block_sums + static_cast<std::size_t>(r * C + c) * V::kLanes;
      V sum = first ? V::FromInts(sums[r][c]) * scale
                    : MulAdd(V::FromInts(sums[r][c]), scale, V::Load(at));
      if constexpr (Block::kOffset) {
        const V offset = block.template Offset<V>(g, kHalf, lanes);
        sum = MulAdd(V::Set(static_cast<float>(x_sums[r])), offset, sum);
      }
      sum.Store(at);
    }
  }
}

// R rows and C vectors of outputs from output o of the panel. parked: the results so far, rows
// kPanelOutputs apart.
template <class V, int R, int C, class Block>
METIER_INLINE void BlockTile(const Block& block, std::size_t groups, std::size_t o,
                             const BlockRows& rows, bool first, Fetch fetch, float* parked) {
  alignas(64) float block_sums[R * C * V::kLanes];
  for (std::size_t g = 0; g < groups; ++g) {
    AddGroup<V, 0, R, C>(block, g, o, rows, g == 0, fetch, block_sums);
    if constexpr (Block::kHalves == 2)
      AddGroup<V, 1, R, C>(block, g, o, rows, false, fetch, block_sums);
  }
  METIER_UNROLL
  for (int r = 0; r < R; ++r) {
    const V scale = V::Set(rows.scale[r]);
    METIER_UNROLL
    for (int c = 0; c < C; ++c) {
      float* at = parked + static_cast<std::size_t>(r) * kPanelOutputs +
                  static_cast<std::size_t>(c) * V::kLanes;
      const V sum = V::Load(block_sums + static_cast<std::size_t>(r * C + c) * V::kLanes);
      (first ? sum * scale : MulAdd(sum, scale, V::Load(at))).Store(at);
    }
  }
}

template <class V, int R, class Block>
void BlockTiles(const Block& block, std::size_t groups, const BlockRows& rows, bool first,
                Fetch fetch, float* parked) {
  for (std::size_t o = 0; o < kPanelOutputs; o += kTileOutputsOf<V>) {
    BlockTile<V, R, V::kTileVectors>(block, groups, o, rows, first, fetch, parked + o);
    fetch = fetch.After(groups);
  }
}

// Lines to fetch with each group, for a block's `bytes` to be there after its first tiles.
template <class V>
std::size_t LinesOfGroup(std::size_t rows, std::size_t bytes) {
  constexpr std::size_t kMostTiles = 4;  // that share the fetch: a line's worth each at least
  const std::size_t tiles = (rows + V::kTilePackedRows - 1) / V::kTilePackedRows;
  const std::size_t shares = (tiles < kMostTiles ? tiles : kMostTiles) * kBlockGroups *
                             (kPanelOutputs / kTileOutputsOf<V>);
  return (bytes / kLine + shares - 1) / shares;
}

// All rows of a block: full tiles, then the rest with smaller ones. What is fetched ends at `end`.
template <class V, class Block>
void BlockAllRows(const Block& block, std::size_t groups, BlockRows rows, std::size_t count,
                  bool first, Fetch fetch, const std::byte* end, float* parked) {
  const auto skip = [&](std::size_t done) {
    count -= done;
    rows.q += done * kBlockInner;
    rows.sums += done * kBlockSums;
    rows.scale += done;
    parked += done * kPanelOutputs;
  };
  const auto take = [&](auto compute, std::size_t rows_of_tile) {
    while (count >= rows_of_tile) {
      compute(block, groups, rows, first, fetch, parked);
      fetch = fetch.After(groups * (kPanelOutputs / kTileOutputsOf<V>));
      if (fetch.at >= end) fetch.lines = 0;
      skip(rows_of_tile);
    }
  };
  constexpr int R = V::kTilePackedRows;
  take(&BlockTiles<V, R, Block>, R);
  if constexpr (R > 2) take(&BlockTiles<V, 2, Block>, 2);
  take(&BlockTiles<V, 1, Block>, 1);
}

METIER_INLINE std::size_t PanelsOf(const PackedProduct& p) {
  return (p.outputs + kPanelOutputs - 1) / kPanelOutputs;
}

// parked: [rows, kPanelOutputs], the products of the panel's outputs from `output` on.
template <class V>
void FinishPanel(const PackedProduct& p, std::size_t row, std::size_t rows, std::size_t output,
                 const float* parked) {
  const std::size_t outputs =
      p.outputs - output < kPanelOutputs ? p.outputs - output : kPanelOutputs;
  for (std::size_t r = 0; r < rows; ++r, parked += kPanelOutputs) {
    float* out = p.out + (row + r) * p.out_stride + output;
    for (std::size_t o = 0; o < outputs; o += V::kLanes) {
      const std::size_t n = outputs - o < V::kLanes ? outputs - o : V::kLanes;
      // A sum of products that underflow may be -0; + 0 makes it what it is with zeros in between.
      V sum = V::Load(parked + o) + V::Zero();
      if (p.bias != nullptr) sum = sum + LoadUpTo<V>(p.bias + output + o, n);
      if (p.add) sum = LoadUpTo<V>(out + o, n) + sum;
      StoreUpTo(sum, out + o, n);
    }
  }
}

template <class V, class F>
void MultiplyInt8(const PackedProduct& p) {
  alignas(64) float parked[kPackedRows * kPanelOutputs];
  constexpr std::size_t kBytes = kBlockGroups * F::kRecord;
  const std::size_t groups = (p.inner + kGroupInner - 1) / kGroupInner;
  FetchAhead ahead(p, PanelsOf(p) * ((groups + kBlockGroups - 1) / kBlockGroups));
  for (std::size_t row = 0; row < p.rows; row += kPackedRows) {
    const std::size_t rows = p.rows - row < kPackedRows ? p.rows - row : kPackedRows;
    const std::size_t lines = LinesOfGroup<V>(rows, kBytes);
    for (std::size_t output = 0; output < p.outputs; output += kPanelOutputs) {
      const std::byte* panel = p.w + output / kPanelOutputs * p.panel_bytes;
      for (std::size_t g = 0; g < groups; g += kBlockGroups) {
        const std::size_t count = groups - g < kBlockGroups ? groups - g : kBlockGroups;
        const StoredBlock<F> stored{F::Header(panel, g), F::Record(panel, g)};
        const std::size_t at = g / kBlockGroups * p.quantised.rows + row;
        const BlockRows x{p.quantised.q + at * kBlockInner, p.quantised.sums + at * kBlockSums,
                          p.quantised.scale + at};
        ahead.Next();
        const Fetch next{stored.record + 2 * kBytes, lines};
        BlockAllRows<V>(stored, count, x, rows, g == 0, next, next.at + kBytes, parked);
      }
      FinishPanel<V>(p, row, rows, output, parked);
    }
  }
}

}  // namespace metier::kernels::body
