// format/encode_blocks.h - floats to blocks: the other direction of blocks.h, where the layouts
// stand.
//
//   F16 BF16                       nearest, ties to even
//   Q4_0 Q4_1 Q5_0 Q5_1 Q8_0       bit for bit the reference encoding: the scale follows from the
//                                  value of largest magnitude, or from both ends
//   Q2_K to Q6_K, IQ4_NL, IQ4_XS   of some scales near that one, the one with the least squared
//                                  error (least squares on the levels it leads to), then rounded
//                                  as the type stores scales, then the levels nearest to what the
//                                  stored scales make of them
//
// All weights count alike: no importance matrix. Scalar and portable, the same bits everywhere.
#pragma once

#include <cstddef>
#include <span>

#include "tensor/dtype.h"

namespace metier::format {

// Quantised types cannot express larger ones: 65504 (the largest f16) * 128 * 32 is below it. Up to
// it the encoders' sums of squares stay finite.
inline constexpr float kMostEncodable = 1e9F;

// Encodes `blocks` blocks. in: blocks * block_elements numbers, of a quantised type within
// +-kMostEncodable; out: blocks * block_bytes, any alignment. False: a block's scale would be
// infinite in f16; `out` is undefined then.
using BlockEncoder = bool (*)(const float* in, std::byte* out, std::size_t blocks);

// nullptr: a type that we do not write.
BlockEncoder EncoderOf(tensor::DType dtype);

// The types that we write, in the order of the enum.
std::span<const tensor::DType> EncodableTypes();

}  // namespace metier::format
