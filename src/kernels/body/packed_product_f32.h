// kernels/body/packed_product_f32.h - packed weights times floats: the exact product.
//
// Groups of weights become floats [kGroupInner][kPanelOutputs], to the bit what the decoder of the
// stored type gives. Each lane sums for one output, over the inner dimension from start to end.
#pragma once

#include "kernels/body/packed_product.h"

namespace metier::kernels::body {

// The weights of the lanes' outputs at byte kByte of a quad.
template <class V, class F, int kByte>
METIER_INLINE V WeightsOf(typename V::Ints quad, V scale, V offset) {
  const V code = V::FromInts(quad.template ByteOfLane<kByte>());
  if constexpr (F::Scales::kOffset) return code * scale + offset;
  return (code - V::Set(static_cast<float>(F::Scales::kZero))) * scale;
}

// Inner index 4 kQuad + kByte of the lanes' outputs into to[stride * index].
template <class V, class F, int kQuad, int kByte>
void UnpackByte(typename V::Ints quad, V scale, V offset, float* to, std::size_t stride) {
  WeightsOf<V, F, kByte>(quad, scale, offset).Store(to + (4 * kQuad + kByte) * stride);
}

template <class V, class F, int kQuad>
void UnpackQuads(const StoredBlock<F>& block, std::size_t o, float* to, std::size_t stride) {
  constexpr int kHalf = F::Scales::kHalves == 2 ? kQuad / 4 : 0;
  const V scale = block.template Scale<V>(0, kHalf, o);
  const V offset = block.template Offset<V>(0, kHalf, o);
  const typename V::Ints quad = V::Ints::Of(block.template Quad<V, kQuad>(0, o));
  UnpackByte<V, F, kQuad, 0>(quad, scale, offset, to, stride);
  UnpackByte<V, F, kQuad, 1>(quad, scale, offset, to, stride);
  UnpackByte<V, F, kQuad, 2>(quad, scale, offset, to, stride);
  UnpackByte<V, F, kQuad, 3>(quad, scale, offset, to, stride);
  if constexpr (kQuad + 1 < kQuads) UnpackQuads<V, F, kQuad + 1>(block, o, to, stride);
}

// How a packing's groups become floats. Group: the floats of group g, in `space` or in place;
// Lanes: of the V::kLanes outputs from o on only, [kGroupInner][V::kLanes].
template <class F>
struct QuantisedFloats {
  template <class V>
  static void Lanes(const std::byte* panel, std::size_t g, std::size_t o, float* to) {
    UnpackQuads<V, F, 0>({F::Header(panel, g), F::Record(panel, g)}, o, to, V::kLanes);
  }
  template <class V>
  static const float* Group(const std::byte* panel, std::size_t g, float* space) {
    const StoredBlock<F> block{F::Header(panel, g), F::Record(panel, g)};
    for (std::size_t o = 0; o < kPanelOutputs; o += V::kLanes)
      UnpackQuads<V, F, 0>(block, o, space + o, kPanelOutputs);
    return space;
  }
};

struct F32Floats {
  template <class V>
  static void Lanes(const std::byte* panel, std::size_t g, std::size_t o, float* to) {
    const float* from = Group<V>(panel, g, nullptr) + o;
    for (std::size_t i = 0; i < kGroupInner; ++i)
      V::Load(from + i * kPanelOutputs).Store(to + i * V::kLanes);
  }
  template <class V>
  static const float* Group(const std::byte* panel, std::size_t g, float*) {
    return reinterpret_cast<const float*>(panel) + g * kGroupInner * kPanelOutputs;
  }
};

struct F16Floats {
  template <class V>
  static void Lanes(const std::byte* panel, std::size_t g, std::size_t o, float* to) {
    const auto* from = reinterpret_cast<const std::uint16_t*>(panel) + o;
    for (std::size_t i = 0; i < kGroupInner; ++i)
      V::LoadF16(from + (g * kGroupInner + i) * kPanelOutputs).Store(to + i * V::kLanes);
  }
  template <class V>
  static const float* Group(const std::byte* panel, std::size_t g, float* space) {
    const auto* from =
        reinterpret_cast<const std::uint16_t*>(panel) + g * kGroupInner * kPanelOutputs;
    for (std::size_t i = 0; i < kGroupInner * kPanelOutputs; i += V::kLanes)
      V::LoadF16(from + i).Store(space + i);
    return space;
  }
};

// Two inner indices of an output share 32 bits, the first in the low half.
struct Bf16Floats {
  template <class V>
  static void Lanes(const std::byte* panel, std::size_t g, std::size_t o, float* to) {
    const std::byte* from = panel + g * (kGroupInner / 2) * kCodeRow + 4 * o;
    for (std::size_t i = 0; i < kGroupInner; i += 2) {
      const typename V::Ints pair = V::Ints::Of(V::Bytes::Load(from + i / 2 * kCodeRow));
      V::LowBf16(pair).Store(to + i * V::kLanes);
      V::HighBf16(pair).Store(to + (i + 1) * V::kLanes);
    }
  }
  template <class V>
  static const float* Group(const std::byte* panel, std::size_t g, float* space) {
    const std::byte* from = panel + g * (kGroupInner / 2) * kCodeRow;
    for (std::size_t i = 0; i < kGroupInner; i += 2) {
      for (std::size_t o = 0; o < kPanelOutputs; o += V::kLanes) {
        const typename V::Ints pair = V::Ints::Of(V::Bytes::Load(from + i / 2 * kCodeRow + 4 * o));
        V::LowBf16(pair).Store(space + i * kPanelOutputs + o);
        V::HighBf16(pair).Store(space + (i + 1) * kPanelOutputs + o);
      }
    }
    return space;
  }
};

// Where a tile's rows of x lie: one behind the other, or anywhere.
struct FloatRows {
  const float* x;
  std::size_t stride;
  const float* operator[](int r) const { return x + static_cast<std::size_t>(r) * stride; }
};
template <int R>
struct FloatPointers {
  const float* const (&rows)[R];
  const float* operator[](int r) const { return rows[r]; }
};

// sums[r][0, C vectors) = (first ? 0 : sums) + x[r][0, inner) times w, whose rows are w_stride
// elements apart.
template <class V, int R, int C, class W = F32Weights, class Rows>
METIER_INLINE void FloatTile(const typename W::Element* w, std::size_t w_stride, const Rows& x,
                             std::size_t inner, bool first, float* sums, std::size_t sums_stride) {
  V acc[R][C];
  METIER_UNROLL
  for (int r = 0; r < R; ++r) {
    METIER_UNROLL
    for (int c = 0; c < C; ++c)
      acc[r][c] = first ? V::Zero() : V::Load(sums + r * sums_stride + c * V::kLanes);
  }
  for (std::size_t i = 0; i < inner; ++i) {
    V weights[C];
    METIER_UNROLL
    for (int c = 0; c < C; ++c) weights[c] = W::template Load<V>(w + i * w_stride + c * V::kLanes);
    METIER_UNROLL
    for (int r = 0; r < R; ++r) {
      const V value = V::Set(x[r][i]);
      METIER_UNROLL
      for (int c = 0; c < C; ++c) acc[r][c] = MulAdd(value, weights[c], acc[r][c]);
    }
  }
  METIER_UNROLL
  for (int r = 0; r < R; ++r) {
    METIER_UNROLL
    for (int c = 0; c < C; ++c) acc[r][c].Store(sums + r * sums_stride + c * V::kLanes);
  }
}

template <class V, int R>
void FloatTiles(const float* w, const float* x, std::size_t x_stride, std::size_t inner, bool first,
                float* parked) {
  constexpr int C = V::kTileVectors;
  for (std::size_t o = 0; o < kPanelOutputs; o += C * V::kLanes) {
    FloatTile<V, R, C>(w + o, kPanelOutputs, FloatRows{x, x_stride}, inner, first, parked + o,
                       kPanelOutputs);
  }
}

template <class V, class Floats>
void MultiplyFloats(const PackedProduct& p) {
  alignas(64) float parked[kPackedRows * kPanelOutputs];
  alignas(64) float space[kGroupInner * kPanelOutputs];
  constexpr std::size_t R = V::kTileFloatRows;
  static_assert(R == 4 || R == 6);
  for (std::size_t row = 0; row < p.rows; row += kPackedRows) {
    const std::size_t rows = p.rows - row < kPackedRows ? p.rows - row : kPackedRows;
    for (std::size_t output = 0; output < p.outputs; output += kPanelOutputs) {
      const std::byte* panel = p.w + output / kPanelOutputs * p.panel_bytes;
      for (std::size_t i = 0; i < p.inner; i += kGroupInner) {
        const std::size_t n = p.inner - i < kGroupInner ? p.inner - i : kGroupInner;
        const float* w = Floats::template Group<V>(panel, i / kGroupInner, space);
        const float* x = p.x + row * p.x_stride + i;
        std::size_t r = 0;
        for (; r + R <= rows; r += R)
          FloatTiles<V, R>(w, x + r * p.x_stride, p.x_stride, n, i == 0,
                           parked + r * kPanelOutputs);
        for (; r + 2 <= rows; r += 2)
          FloatTiles<V, 2>(w, x + r * p.x_stride, p.x_stride, n, i == 0,
                           parked + r * kPanelOutputs);
        if (r < rows)
          FloatTiles<V, 1>(w, x + r * p.x_stride, p.x_stride, n, i == 0,
                           parked + r * kPanelOutputs);
      }
      FinishPanel<V>(p, row, rows, output, parked);
    }
  }
}

template <class V, class Floats>
void DecodeOutput(const std::byte* panel, std::size_t output, std::size_t inner, float* out) {
  float lanes[kGroupInner * V::kLanes];
  const std::size_t lane = output % V::kLanes;
  for (std::size_t i = 0; i < inner; i += kGroupInner) {
    const std::size_t n = inner - i < kGroupInner ? inner - i : kGroupInner;
    Floats::template Lanes<V>(panel, i / kGroupInner, output - lane, lanes);
    for (std::size_t j = 0; j < n; ++j) out[i + j] = lanes[j * V::kLanes + lane];
  }
}

}  // namespace metier::kernels::body
