// kernels/body/packed_product_nonzero.h - packed weights times one row of floats that is mostly
// zeros: what a gate of ReLU leaves.
//
// Each lane sums for one output, over the inner dimension from start to end, as in
// packed_product_f32.h but without the terms that are 0: the same bits, since a sum that began with
// +0 does not change when +0 or -0 is added. F32 gains by what it need not read, quantised types by
// what they need not decode; F16 and BF16, of which a zero saves two lines of the cache between two
// that are read, were not faster on every instruction set.
#pragma once

#include "kernels/body/packed_product_f32.h"

namespace metier::kernels::body {

// How the marked inner indices of groups [g, g + groups), at most kGroups, join the sums of C
// vectors of outputs, from output o on.
template <class F>
struct QuantisedMarked {
  static constexpr int kMostVectors = 4;  // beside as many scales, offsets and quads
  static constexpr std::size_t kGroups = 1;

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

  // Quads [kQuad, kEnd), which share their scales.
  template <class V, int kQuad, int kEnd, int C>
  static METIER_INLINE void AddQuads(const StoredBlock<F>& block, std::size_t o,
                                     const V (&scale)[C], const V (&offset)[C], std::uint32_t mask,
                                     const float* x, V (&sums)[C]) {
    if ((mask >> (4 * kQuad) & 15U) != 0) {
      typename V::Ints quads[C];
      METIER_UNROLL
      for (int c = 0; c < C; ++c) {
        quads[c] = V::Ints::Of(
            block.template Quad<V, kQuad>(0, o + static_cast<std::size_t>(c) * V::kLanes));
      }
      AddByte<V, kQuad, 0, C>(quads, scale, offset, mask, x, sums);
      AddByte<V, kQuad, 1, C>(quads, scale, offset, mask, x, sums);
      AddByte<V, kQuad, 2, C>(quads, scale, offset, mask, x, sums);
      AddByte<V, kQuad, 3, C>(quads, scale, offset, mask, x, sums);
    }
    if constexpr (kQuad + 1 < kEnd)
      AddQuads<V, kQuad + 1, kEnd, C>(block, o, scale, offset, mask, x, sums);
  }

  template <class V, int kHalf, int C>
  static METIER_INLINE void AddHalves(const StoredBlock<F>& block, std::size_t o,
                                      std::uint32_t mask, const float* x, V (&sums)[C]) {
    constexpr int kCount = kQuads / F::Scales::kHalves;
    constexpr std::uint32_t kMarks = kCount == kQuads ? ~0U : 0xffffU << (16 * kHalf);
    if ((mask & kMarks) != 0) {
      V scale[C];
      V offset[C];
      METIER_UNROLL
      for (int c = 0; c < C; ++c) {
        const std::size_t lanes = o + static_cast<std::size_t>(c) * V::kLanes;
        scale[c] = block.template Scale<V>(0, kHalf, lanes);
        offset[c] = block.template Offset<V>(0, kHalf, lanes);
      }
      AddQuads<V, kCount * kHalf, kCount*(kHalf + 1), C>(block, o, scale, offset, mask, x, sums);
    }
    if constexpr (kHalf + 1 < F::Scales::kHalves)
      AddHalves<V, kHalf + 1, C>(block, o, mask, x, sums);
  }

  template <class V, int C>
  static METIER_INLINE void Add(const std::byte* panel, std::size_t g, std::size_t /*groups*/,
                                std::size_t o, const PackedProduct& p, V (&sums)[C]) {
    AddHalves<V, 0, C>({F::Header(panel, g), F::Record(panel, g)}, o, p.nonzero[g],
                       p.x + g * kGroupInner, sums);
  }
};

// A stretch of marked indices as a list: a loop without an end for each group, in which what comes
// later is known and asked for.
struct MarkedList {
  static constexpr std::size_t kGroups = 16;
  static constexpr std::size_t kAhead = 32;  // rows of 256 bytes
  std::uint16_t index[kGroups * kGroupInner + kAhead];
  std::size_t count = 0;

  // Of groups [0, groups); the end is repeated, so that what is asked for exists.
  METIER_INLINE MarkedList(const std::uint32_t* masks, std::size_t groups) {
    for (std::size_t g = 0; g < groups; ++g) {
      for (std::uint32_t mask = masks[g]; mask != 0; mask &= mask - 1)
        index[count++] = static_cast<std::uint16_t>(g * kGroupInner +
                                                    static_cast<std::size_t>(__builtin_ctz(mask)));
    }
    const std::uint16_t last = count == 0 ? std::uint16_t{0} : index[count - 1];
    for (std::size_t i = 0; i < kAhead; ++i) index[count + i] = last;
  }
};

struct F32Marked {
  static constexpr int kMostVectors = 8;
  static constexpr std::size_t kGroups = MarkedList::kGroups;

  template <class V, int C>
  static METIER_INLINE void Add(const std::byte* panel, std::size_t g, std::size_t groups,
                                std::size_t o, const PackedProduct& p, V (&sums)[C]) {
    const MarkedList marked(p.nonzero + g, groups);
    const float* rows = reinterpret_cast<const float*>(panel) + g * kGroupInner * kPanelOutputs;
    const float* x = p.x + g * kGroupInner;
    constexpr std::size_t kLineFloats = 16;
    for (std::size_t j = 0; j < marked.count; ++j) {
      const float* later = rows + marked.index[j + MarkedList::kAhead] * kPanelOutputs;
      METIER_UNROLL
      for (std::size_t at = 0; at < C * V::kLanes; at += kLineFloats)
        __builtin_prefetch(later + o + at);
      const std::size_t i = marked.index[j];
      const V value = V::Set(x[i]);
      const float* row = rows + i * kPanelOutputs + o;
      METIER_UNROLL
      for (int c = 0; c < C; ++c) sums[c] = MulAdd(value, V::Load(row + c * V::kLanes), sums[c]);
    }
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
      for (std::size_t g = 0; g < groups; g += Marked::kGroups) {
        const std::size_t count = groups - g < Marked::kGroups ? groups - g : Marked::kGroups;
        Marked::template Add<V, C>(panel, g, count, o, p, sums);
      }
      METIER_UNROLL
      for (int c = 0; c < C; ++c) sums[c].Store(parked + o + c * V::kLanes);
    }
    FinishPanel<V>(p, 0, 1, output, parked);
  }
}

}  // namespace metier::kernels::body
