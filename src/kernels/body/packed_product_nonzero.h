// kernels/body/packed_product_nonzero.h - packed weights times one row of floats that is mostly
// zeros: what a gate of ReLU leaves.
//
// Each lane sums for one output, over the inner dimension from start to end, as in
// packed_product_f32.h but without the terms that are 0: the same bits, since a sum that began with
// +0 does not change when +0 or -0 is added.
#pragma once

#include "kernels/body/packed_product_f32.h"

namespace metier::kernels::body {

// How a packing's marked inner indices join the sums of C vectors of outputs, from output o on. x
// and `mask` belong to group g. Ahead: asks for what the mask of a later group will need.
template <class F>
struct QuantisedMarked {
  static constexpr int kMostVectors = 4;  // beside as many scales, offsets and quads

  template <class V, int kQuad, int kByte, int C>
  static METIER_INLINE void AddByte(const typename V::Ints (&quads)[C], const V (&scale)[C],
                                    const V (&offset)[C], std::uint32_t mask, const float* x,
                                    V (&sums)[C]) {
    constexpr int kIndex = 4 * kQuad + kByte;
    if ((mask >> kIndex & 1U) == 0) return;
    const V value = V::Set(x[kIndex]);
    METIER_UNROLL
    for (int c = 0; c < C; ++c)
      sums[c] = MulAdd(value, WeightsOf<V, F, kByte>(quads[c], scale[c], offset[c]), sums[c]);
  }

  template <class V, int kQuad, int C>
  static METIER_INLINE void AddQuads(const StoredBlock<F>& block, std::size_t o, std::uint32_t mask,
                                     const float* x, V (&sums)[C]) {
    if ((mask >> (4 * kQuad) & 15U) != 0) {
      constexpr int kHalf = F::Scales::kHalves == 2 ? kQuad / 4 : 0;
      typename V::Ints quads[C];
      V scale[C];
      V offset[C];
      METIER_UNROLL
      for (int c = 0; c < C; ++c) {
        const std::size_t lanes = o + static_cast<std::size_t>(c) * V::kLanes;
        quads[c] = V::Ints::Of(block.template Quad<V, kQuad>(0, lanes));
        scale[c] = block.template Scale<V>(0, kHalf, lanes);
        offset[c] = block.template Offset<V>(0, kHalf, lanes);
      }
      AddByte<V, kQuad, 0, C>(quads, scale, offset, mask, x, sums);
      AddByte<V, kQuad, 1, C>(quads, scale, offset, mask, x, sums);
      AddByte<V, kQuad, 2, C>(quads, scale, offset, mask, x, sums);
      AddByte<V, kQuad, 3, C>(quads, scale, offset, mask, x, sums);
    }
    if constexpr (kQuad + 1 < kQuads) AddQuads<V, kQuad + 1, C>(block, o, mask, x, sums);
  }

  template <class V, int C>
  static METIER_INLINE void Add(const std::byte* panel, std::size_t g, std::size_t o,
                                std::uint32_t mask, const float* x, V (&sums)[C]) {
    AddQuads<V, 0, C>({F::Header(panel, g), F::Record(panel, g)}, o, mask, x, sums);
  }
  static void Ahead(const std::byte*, std::size_t, std::uint32_t) {}
};

// kBytes of the marked rows, which lie kStride apart.
template <std::size_t kStride, std::size_t kBytes>
METIER_INLINE void PrefetchMarked(const std::byte* rows, std::uint32_t mask) {
  constexpr std::size_t kLine = 64;
  for (; mask != 0; mask &= mask - 1) {
    const std::byte* row = rows + static_cast<std::size_t>(__builtin_ctz(mask)) * kStride;
    for (std::size_t at = 0; at < kBytes; at += kLine) __builtin_prefetch(row + at);
  }
}

// Load<V>(panel, index, o): the weights of inner index `index` of the panel.
template <class Load, std::size_t kBytes>
struct PlainMarked {
  static constexpr int kMostVectors = 8;

  template <class V, int C>
  static METIER_INLINE void Add(const std::byte* panel, std::size_t g, std::size_t o,
                                std::uint32_t mask, const float* x, V (&sums)[C]) {
    for (; mask != 0; mask &= mask - 1) {
      const auto i = static_cast<std::size_t>(__builtin_ctz(mask));
      const V value = V::Set(x[i]);
      const std::byte* row = panel + (g * kGroupInner + i) * kBytes;
      METIER_UNROLL
      for (int c = 0; c < C; ++c) {
        const V weights = Load::template Of<V>(row, o + static_cast<std::size_t>(c) * V::kLanes);
        sums[c] = MulAdd(value, weights, sums[c]);
      }
    }
  }
  static void Ahead(const std::byte* panel, std::size_t g, std::uint32_t mask) {
    PrefetchMarked<kBytes, kBytes>(panel + g * kGroupInner * kBytes, mask);
  }
};

struct LoadF32Row {
  template <class V>
  static V Of(const std::byte* row, std::size_t o) {
    return V::Load(reinterpret_cast<const float*>(row) + o);
  }
};
struct LoadF16Row {
  template <class V>
  static V Of(const std::byte* row, std::size_t o) {
    return V::LoadF16(reinterpret_cast<const std::uint16_t*>(row) + o);
  }
};
using F32Marked = PlainMarked<LoadF32Row, 4 * kPanelOutputs>;
using F16Marked = PlainMarked<LoadF16Row, 2 * kPanelOutputs>;

// Two inner indices share 32 bits: both are added where one is marked.
struct Bf16Marked {
  static constexpr int kMostVectors = 8;

  // Bit 2 j: index 2 j or 2 j + 1 is marked.
  static std::uint32_t Pairs(std::uint32_t mask) { return (mask | mask >> 1) & 0x55555555U; }

  template <class V, int C>
  static METIER_INLINE void Add(const std::byte* panel, std::size_t g, std::size_t o,
                                std::uint32_t mask, const float* x, V (&sums)[C]) {
    const std::byte* rows = panel + g * (kGroupInner / 2) * kCodeRow + 4 * o;
    for (std::uint32_t pairs = Pairs(mask); pairs != 0; pairs &= pairs - 1) {
      const auto i = static_cast<std::size_t>(__builtin_ctz(pairs));
      const V low = V::Set(x[i]);
      // Behind an odd row's end there is no x; its weight is 0 in the panel.
      const V high = V::Set((mask >> (i + 1) & 1U) != 0 ? x[i + 1] : 0.0F);
      METIER_UNROLL
      for (int c = 0; c < C; ++c) {
        const auto pair = V::Ints::Of(
            V::Bytes::Load(rows + i / 2 * kCodeRow + static_cast<std::size_t>(c) * 4 * V::kLanes));
        sums[c] = MulAdd(high, V::HighBf16(pair), MulAdd(low, V::LowBf16(pair), sums[c]));
      }
    }
  }
  static void Ahead(const std::byte* panel, std::size_t g, std::uint32_t mask) {
    PrefetchMarked<kCodeRow / 2, kCodeRow>(panel + g * (kGroupInner / 2) * kCodeRow, Pairs(mask));
  }
};

template <class V, class Marked>
void MultiplyNonzero(const PackedProduct& p) {
  alignas(64) float parked[kPanelOutputs];
  constexpr int kVectors = static_cast<int>(kPanelOutputs / V::kLanes);
  constexpr int C = kVectors < Marked::kMostVectors ? kVectors : Marked::kMostVectors;
  const std::size_t groups = (p.inner + kGroupInner - 1) / kGroupInner;
  for (std::size_t output = 0; output < p.outputs; output += kPanelOutputs) {
    const std::byte* panel = p.w + output / kPanelOutputs * p.panel_bytes;
    for (std::size_t o = 0; o < kPanelOutputs; o += C * V::kLanes) {
      V sums[C];
      METIER_UNROLL
      for (int c = 0; c < C; ++c) sums[c] = V::Zero();
      for (std::size_t g = 0; g < groups; ++g) {
        if (o == 0 && g + 1 < groups) Marked::Ahead(panel, g + 1, p.nonzero[g + 1]);
        Marked::template Add<V, C>(panel, g, o, p.nonzero[g], p.x + g * kGroupInner, sums);
      }
      METIER_UNROLL
      for (int c = 0; c < C; ++c) sums[c].Store(parked + o + c * V::kLanes);
    }
    FinishPanel<V>(p, 0, 1, output, parked);
  }
}

}  // namespace metier::kernels::body
