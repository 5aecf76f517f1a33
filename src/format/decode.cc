#include "format/decode.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "format/blocks.h"
#include "tensor/half.h"

namespace metier::format {
namespace {

using tensor::DType;

Status CheckSizes(DType dtype, std::uint64_t elements, std::uint64_t bytes) {
  const auto needed = tensor::BytesFor(dtype, elements);
  if (needed && *needed == bytes) return Ok();
  return Error(
      ErrorCode::kInvalidArgument,
      fmt::format("{} weights as {}: {} bytes given, blocks of {} weights in {} bytes "
                  "expected",
                  elements, tensor::InfoOf(dtype).name, bytes, tensor::InfoOf(dtype).block_elements,
                  tensor::InfoOf(dtype).block_bytes));
}

void StoreU16(std::span<std::byte> out, std::size_t index, std::uint16_t bits) {
  std::memcpy(out.data() + 2 * index, &bits, 2);
}

// One block: the scale maps the largest magnitude to 127, and rounds to f16 only when stored, as
// the reference quantiser does.
Status EncodeQ8_0(std::span<const float> in, std::span<std::byte> out) {
  constexpr std::size_t kBlock = 32;
  constexpr float kLargestF16 = 65504.0F;
  for (; !in.empty(); in = in.subspan(kBlock), out = out.subspan(2 + kBlock)) {
    float largest = 0;
    bool finite = true;
    for (const float value : in.first(kBlock)) {
      finite = finite && std::isfinite(value);
      largest = std::fmax(largest, std::fabs(value));
    }
    const float scale = largest / 127.0F;
    if (!finite || scale > kLargestF16) {
      return Error(
          ErrorCode::kInvalidArgument,
          fmt::format("Q8_0: a block holds {}, which its f16 scale cannot express; store the "
                      "tensor as F32",
                      finite ? fmt::format("{}", largest) : "a value that is not finite"));
    }
    const float inverse = scale > 0 ? 1.0F / scale : 0.0F;
    StoreU16(out, 0, tensor::ToF16(scale));
    for (std::size_t i = 0; i < kBlock; ++i) {
      // A subnormal scale has an infinite inverse; its weights are below f16's smallest step
      // anyway.
      const float level = std::isfinite(inverse) ? std::round(in[i] * inverse) : 0.0F;
      out[2 + i] = static_cast<std::byte>(static_cast<std::int8_t>(level));
    }
  }
  return Ok();
}

}  // namespace

Status DecodeToF32(DType dtype, std::span<const std::byte> in, std::span<float> out) {
  const BlockDecoder decode = DecoderOf(dtype);
  if (decode == nullptr) {
    return Error(ErrorCode::kUnsupported, fmt::format("weights of type {} cannot be decoded to F32",
                                                      tensor::InfoOf(dtype).name));
  }
  METIER_TRY(CheckSizes(dtype, out.size(), in.size()));
  decode(in.data(), out.data(), out.size() / tensor::InfoOf(dtype).block_elements);
  return Ok();
}

Status EncodeFromF32(DType dtype, std::span<const float> in, std::span<std::byte> out) {
  METIER_TRY(CheckSizes(dtype, in.size(), out.size()));
  switch (dtype) {
    case DType::kF32:
      if (!in.empty()) std::memcpy(out.data(), in.data(), in.size_bytes());
      return Ok();
    case DType::kF16:
      for (std::size_t i = 0; i < in.size(); ++i) StoreU16(out, i, tensor::ToF16(in[i]));
      return Ok();
    case DType::kBF16:
      for (std::size_t i = 0; i < in.size(); ++i) StoreU16(out, i, tensor::ToBF16(in[i]));
      return Ok();
    case DType::kQ8_0: return EncodeQ8_0(in, out);
    default:
      return Error(ErrorCode::kUnsupported,
                   fmt::format("weights cannot be written as {}; F32, F16, BF16 and Q8_0 can",
                               tensor::InfoOf(dtype).name));
  }
}

Result<tensor::Tensor> DecodeTensor(const tensor::TensorView& view) {
  if (DecoderOf(view.dtype) == nullptr) {
    return Error(ErrorCode::kUnsupported, fmt::format("weights of type {} cannot be decoded to F32",
                                                      tensor::InfoOf(view.dtype).name));
  }
  tensor::Tensor out(DType::kF32, view.shape);
  METIER_TRY(DecodeToF32(view.dtype, view.bytes, out.f32()));
  return out;
}

}  // namespace metier::format
