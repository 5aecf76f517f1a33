// kernels/body/packed_scales.h - what a code is worth: weight = scale * (code - kZero), or
// scale * code + offset where kOffset is set.
//
// Rows of scales, one number for each output of the panel, F16 (128 bytes) or a byte (64):
//
//   type          in the record of a group              header, once for 8 groups
//   PlainScale    scale F16                             -
//   ScaleOffset   scale F16, offset F16                 -
//   SubScales32   scale u8, offset u8                   d F16, e F16: scale d, offset -e
//   SubScales16   scale i8 of each half                 d F16
//   SubPairs16    of each half: scale 4 bits, offset 4  d F16, e F16
//   SubScale32    scale i8                              d F16
//
// Products of an F16 and a byte are exact in a float, so each scale is the decoder's to the bit.
#pragma once

#include "kernels/body/lanes.h"
#include "kernels/packed.h"

namespace metier::kernels::body {

constexpr std::size_t kHalfRow = 2 * kPanelOutputs;
constexpr std::size_t kByteRow = kPanelOutputs;

// `row`: of F16 numbers; `o`: the lanes' first output.
template <class V>
V LoadHalves(const std::byte* row, std::size_t o) {
  return V::LoadF16(reinterpret_cast<const std::uint16_t*>(row) + o);
}

template <int kZeroCode>
struct PlainScale {
  static constexpr std::size_t kBytes = kHalfRow;
  static constexpr std::size_t kHeader = 0;
  static constexpr int kZero = kZeroCode;
  static constexpr bool kOffset = false;
  static constexpr int kHalves = 1;
  template <class V>
  static V Scale(const std::byte*, const std::byte* scales, int, std::size_t o) {
    return LoadHalves<V>(scales, o);
  }
};

struct ScaleOffset {
  static constexpr std::size_t kBytes = 2 * kHalfRow;
  static constexpr std::size_t kHeader = 0;
  static constexpr int kZero = 0;
  static constexpr bool kOffset = true;
  static constexpr int kHalves = 1;
  template <class V>
  static V Scale(const std::byte*, const std::byte* scales, int, std::size_t o) {
    return LoadHalves<V>(scales, o);
  }
  template <class V>
  static V Offset(const std::byte*, const std::byte* scales, int, std::size_t o) {
    return LoadHalves<V>(scales + kHalfRow, o);
  }
};

struct SubScales32 {
  static constexpr std::size_t kBytes = 2 * kByteRow;
  static constexpr std::size_t kHeader = 2 * kHalfRow;
  static constexpr int kZero = 0;
  static constexpr bool kOffset = true;
  static constexpr int kHalves = 1;
  template <class V>
  static V Scale(const std::byte* header, const std::byte* scales, int, std::size_t o) {
    return LoadHalves<V>(header, o) * V::LoadU8(scales + o);
  }
  template <class V>
  static V Offset(const std::byte* header, const std::byte* scales, int, std::size_t o) {
    return V::Set(-1.0F) * LoadHalves<V>(header + kHalfRow, o) * V::LoadU8(scales + kByteRow + o);
  }
};

template <int kZeroCode>
struct SubScales16 {
  static constexpr std::size_t kBytes = 2 * kByteRow;
  static constexpr std::size_t kHeader = kHalfRow;
  static constexpr int kZero = kZeroCode;
  static constexpr bool kOffset = false;
  static constexpr int kHalves = 2;
  template <class V>
  static V Scale(const std::byte* header, const std::byte* scales, int half, std::size_t o) {
    return LoadHalves<V>(header, o) *
           V::LoadI8(scales + static_cast<std::size_t>(half) * kByteRow + o);
  }
};

struct SubPairs16 {
  static constexpr std::size_t kBytes = 2 * kByteRow;
  static constexpr std::size_t kHeader = 2 * kHalfRow;
  static constexpr int kZero = 0;
  static constexpr bool kOffset = true;
  static constexpr int kHalves = 2;
  template <class V>
  static V Scale(const std::byte* header, const std::byte* scales, int half, std::size_t o) {
    return LoadHalves<V>(header, o) *
           V::LoadLowNibbles(scales + static_cast<std::size_t>(half) * kByteRow + o);
  }
  template <class V>
  static V Offset(const std::byte* header, const std::byte* scales, int half, std::size_t o) {
    return V::Set(-1.0F) * LoadHalves<V>(header + kHalfRow, o) *
           V::LoadHighNibbles(scales + static_cast<std::size_t>(half) * kByteRow + o);
  }
};

template <int kZeroCode>
struct SubScale32 {
  static constexpr std::size_t kBytes = kByteRow;
  static constexpr std::size_t kHeader = kHalfRow;
  static constexpr int kZero = kZeroCode;
  static constexpr bool kOffset = false;
  static constexpr int kHalves = 1;
  template <class V>
  static V Scale(const std::byte* header, const std::byte* scales, int, std::size_t o) {
    return LoadHalves<V>(header, o) * V::LoadI8(scales + o);
  }
};

// Offset of a type that has none, so that one loop serves both kinds.
template <class Scales, class V>
V OffsetOf(const std::byte* header, const std::byte* scales, int half, std::size_t o) {
  if constexpr (Scales::kOffset) {
    return Scales::template Offset<V>(header, scales, half, o);
  } else {
    return V::Zero();
  }
}

}  // namespace metier::kernels::body
