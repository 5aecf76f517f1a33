// format/decode.h - stored weights of any type to float, and float to the types we write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "tensor/tensor.h"

namespace metier::format {

// Decodes whole blocks: in.size() must be the bytes of out.size() elements. kUnsupported: a type
// without a decoder (integers, F8 of packed checkpoints), by name.
Status DecodeToF32(tensor::DType dtype, std::span<const std::byte> in, std::span<float> out);

// Rounds or quantises (format/encode_blocks.h says how). out: the bytes of in.size() elements,
// whole blocks. kUnsupported: a type we do not write. kInvalidArgument: of a quantised type, a
// value that is not finite or too large for an f16 scale.
Status EncodeFromF32(tensor::DType dtype, std::span<const float> in, std::span<std::byte> out);

// The whole tensor as F32.
Result<tensor::Tensor> DecodeTensor(const tensor::TensorView& view);

}  // namespace metier::format
