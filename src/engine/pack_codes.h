// engine/pack_codes.h - one row's weights of one group, taken apart: codes, and the numbers that
// scale them. Internal to packing.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/packed.h"

namespace metier::engine {

// Eight quads of codes, a byte each; code j of a quad in byte j.
using Quads = std::array<std::uint32_t, kernels::kGroupInner / 4>;

// Numbers of a group as they are put down, in the order of body/packed_scales.h: `halves` F16 bit
// patterns, then `bytes`.
struct GroupScales {
  std::array<std::uint16_t, 2> halves{};
  std::array<std::uint8_t, 2> bytes{};
};

// How a stored row of blocks is taken apart.
struct StoredType {
  kernels::Packing packing;
  int code_bits;
  int scale_halves;   // in GroupScales, of each group
  int scale_bytes;    // alike
  int header_halves;  // F16 numbers once for a block of 256
  Quads (*codes)(const std::byte* row, std::size_t group);
  GroupScales (*scales)(const std::byte* row, std::size_t group);
  // Of the block that holds the group; nullptr without a header.
  std::array<std::uint16_t, 2> (*header)(const std::byte* row, std::size_t group);
};

// nullptr: plain types.
const StoredType* FindStoredType(kernels::Packing packing);

}  // namespace metier::engine
