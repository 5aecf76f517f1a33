#include "format/decode.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "format/blocks.h"
#include "format/encode_blocks.h"

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

std::string NamesOf(std::span<const DType> types) {
  std::string names;
  for (const DType type : types)
    names += fmt::format("{}{}", names.empty() ? "" : ", ", tensor::InfoOf(type).name);
  return names;
}

Error CannotExpress(DType dtype, const std::string& what) {
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("{}: a block holds {}, which its f16 scale cannot express; store the "
                           "tensor as F32",
                           tensor::InfoOf(dtype).name, what));
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
  const BlockEncoder encode = EncoderOf(dtype);
  if (encode == nullptr) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("weights cannot be written as {}; these types can: {}",
                             tensor::InfoOf(dtype).name, NamesOf(EncodableTypes())));
  }
  METIER_TRY(CheckSizes(dtype, in.size(), out.size()));
  if (in.empty()) return Ok();
  const std::size_t blocks = in.size() / tensor::InfoOf(dtype).block_elements;
  if (!tensor::IsQuantised(dtype)) {
    encode(in.data(), out.data(), blocks);
    return Ok();
  }
  if (!std::all_of(in.begin(), in.end(), [](float value) { return std::isfinite(value); }))
    return CannotExpress(dtype, "a value that is not finite");
  float largest = 0;
  for (const float value : in) largest = std::max(largest, std::fabs(value));
  if (largest > kMostEncodable || !encode(in.data(), out.data(), blocks))
    return CannotExpress(dtype, fmt::format("{}", largest));
  return Ok();
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
