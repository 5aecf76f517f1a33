// kernels/body/packed_codes.h - codes of packed weights as unsigned bytes, a quad of each lane's
// output at a time (layout: kernels/packed.h).
//
// V::Bytes: 4 * V::kLanes bytes, with Load, Store, Set, And, Or, LookUp, and shifts of 16-bit
// lanes. A shift moves a field inside its own byte and the mask removes what came over from the
// neighbour.
#pragma once

#include "kernels/body/lanes.h"
#include "kernels/packed.h"

namespace metier::kernels::body {

constexpr std::size_t kCodeRow = 4 * kPanelOutputs;
constexpr int kQuads = static_cast<int>(kGroupInner / 4);

// The bits of `mask`, which are `by` places up (down when negative) in `bytes`.
template <class V, int kBy, int kMask>
typename V::Bytes Field(typename V::Bytes bytes) {
  const auto mask = V::Bytes::Set(kMask);
  if constexpr (kBy > 0) return And(V::Bytes::template ShiftRight<kBy>(bytes), mask);
  if constexpr (kBy < 0) return And(V::Bytes::template ShiftLeft<-kBy>(bytes), mask);
  if constexpr (kBy == 0) return And(bytes, mask);
}

// `codes`: of the group, moved to the lanes' first output (4 bytes each).
template <class V, int kQuad>
typename V::Bytes Nibble(const std::byte* codes) {
  const auto both = V::Bytes::Load(codes + kQuad % 4 * kCodeRow);
  return Field<V, (kQuad < 4 ? 0 : 4), 15>(both);
}

// Two bits of quad kQuad, moved up to bit kTo.
template <class V, int kQuad, int kTo>
typename V::Bytes TwoBits(const std::byte* codes) {
  const auto four = V::Bytes::Load(codes + kQuad / 4 * kCodeRow);
  return Field<V, 2 * (kQuad % 4) - kTo, 3 << kTo>(four);
}

template <class V, int kQuad, int kTo>
typename V::Bytes OneBit(const std::byte* codes) {
  return Field<V, kQuad - kTo, 1 << kTo>(V::Bytes::Load(codes));
}

// kBytes: of a group. kWide: codes may exceed 127.
struct EightBits {
  static constexpr std::size_t kBytes = 8 * kCodeRow;
  static constexpr bool kWide = true;
  template <class V, int kQuad>
  static typename V::Bytes Quad(const std::byte* codes) {
    return V::Bytes::Load(codes + kQuad * kCodeRow);
  }
};

struct SixBits {
  static constexpr std::size_t kBytes = 6 * kCodeRow;
  static constexpr bool kWide = false;
  template <class V, int kQuad>
  static typename V::Bytes Quad(const std::byte* codes) {
    return Or(Nibble<V, kQuad>(codes), TwoBits<V, kQuad, 4>(codes + 4 * kCodeRow));
  }
};

struct FiveBits {
  static constexpr std::size_t kBytes = 5 * kCodeRow;
  static constexpr bool kWide = false;
  template <class V, int kQuad>
  static typename V::Bytes Quad(const std::byte* codes) {
    return Or(Nibble<V, kQuad>(codes), OneBit<V, kQuad, 4>(codes + 4 * kCodeRow));
  }
};

struct FourBits {
  static constexpr std::size_t kBytes = 4 * kCodeRow;
  static constexpr bool kWide = false;
  template <class V, int kQuad>
  static typename V::Bytes Quad(const std::byte* codes) {
    return Nibble<V, kQuad>(codes);
  }
};

struct ThreeBits {
  static constexpr std::size_t kBytes = 3 * kCodeRow;
  static constexpr bool kWide = false;
  template <class V, int kQuad>
  static typename V::Bytes Quad(const std::byte* codes) {
    return Or(TwoBits<V, kQuad, 0>(codes), OneBit<V, kQuad, 2>(codes + 2 * kCodeRow));
  }
};

struct TwoBitCodes {
  static constexpr std::size_t kBytes = 2 * kCodeRow;
  static constexpr bool kWide = false;
  template <class V, int kQuad>
  static typename V::Bytes Quad(const std::byte* codes) {
    return TwoBits<V, kQuad, 0>(codes);
  }
};

// IQ4's sixteen levels, 128 added so that they are unsigned (from the GGUF specification).
constexpr std::uint8_t kIq4Levels[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                         129, 141, 153, 166, 181, 197, 217, 241};

struct FourBitLevels {
  static constexpr std::size_t kBytes = 4 * kCodeRow;
  static constexpr bool kWide = true;
  template <class V, int kQuad>
  static typename V::Bytes Quad(const std::byte* codes) {
    return V::Bytes::LookUp(kIq4Levels, Nibble<V, kQuad>(codes));
  }
};

}  // namespace metier::kernels::body
