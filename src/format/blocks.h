// format/blocks.h - the block codecs: scalar, portable, bit for bit what the reference decoder
// gives.
//
// These define what a quantised weight is worth; the fast kernels are tested against them. Layouts
// follow the GGUF specification; a scale is f16 unless said otherwise:
//
//   Q4_0    d | 16 x 2 nibbles                  (q - 8) d                      low nibbles first
//   Q4_1    d m | 16 x 2 nibbles                q d + m
//   Q5_0    d | u32 fifth bits | 16 nibbles x 2 (q - 16) d
//   Q5_1    d m | u32 fifth bits | nibbles      q d + m
//   Q8_0    d | 32 x i8                         q d
//   Q2_K    16 x (scale 4, min 4) | 64 x 4 crumbs | d dmin         d s q - dmin m, groups of 16
//   Q3_K    32 x 8 high bits | 64 x 4 crumbs | 16 x 6-bit scales in 12 bytes | d    d (s - 32) (q -
//   4) Q4_K    d dmin | 8 x (scale 6, min 6) in 12 bytes | 128 x 2 nibbles    groups of 32 Q5_K as
//   Q4_K, with 32 x 8 high bits before the nibbles Q6_K    128 x 2 low nibbles | 64 x 4 high crumbs
//   | 16 x i8 scales | d      d s (q - 32) IQ4_NL  as Q4_0, q looks a value up in a table of 16
//   IQ4_XS  d | u16 high scale bits | 4 low scale bytes | 128 x 2 nibbles      d (s - 32) table[q]
#pragma once

#include <array>
#include <cstddef>

#include "tensor/dtype.h"

namespace metier::format {

// The 16 values of IQ4: dense near zero, where trained weights are (GGUF specification).
inline constexpr std::array<float, 16> kIq4Values = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                     1,    13,   25,  38,  53,  69,  89,  113};

// Decodes `blocks` blocks. in: blocks * block_bytes, any alignment; out: blocks * block_elements.
using BlockDecoder = void (*)(const std::byte* in, float* out, std::size_t blocks);

// nullptr: a type that we do not decode.
BlockDecoder DecoderOf(tensor::DType dtype);

}  // namespace metier::format
