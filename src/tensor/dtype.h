// tensor/dtype.h - the element types of every format we read: plain numbers and blocks of quantised
// weights.
//
// A type stores `block_elements` weights in `block_bytes` bytes; plain types have blocks of one.
// Rows of a quantised tensor are whole blocks, so a row is always addressable and rows can be cut
// and permuted without decoding.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace metier::tensor {

enum class DType : std::uint8_t {
  kF64,
  kF32,
  kF16,
  kBF16,
  kF8E4M3,
  kF8E5M2,
  kI64,
  kI32,
  kI16,
  kI8,
  kU64,
  kU32,
  kU16,
  kU8,
  kBool,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ8_1,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kQ8_K,
  kIQ4_NL,
  kIQ4_XS,
};

struct DTypeInfo {
  DType dtype;
  std::string_view name;              // as we print it: "F32", "Q4_K"
  std::string_view safetensors_name;  // empty: not a safetensors type
  std::int32_t ggml_type;             // -1: not a GGUF type
  std::uint32_t block_elements;
  std::uint32_t block_bytes;
};

// Every type, in the order of the enum.
std::span<const DTypeInfo> AllDTypes();
const DTypeInfo& InfoOf(DType dtype);

inline bool IsQuantised(DType dtype) { return InfoOf(dtype).block_elements > 1; }

std::optional<DType> DTypeFromName(std::string_view name);
std::optional<DType> DTypeFromSafetensors(std::string_view name);
std::optional<DType> DTypeFromGgml(std::uint32_t type);

// Bytes of `elements` consecutive weights; nothing when they are not whole blocks or the product
// overflows.
std::optional<std::uint64_t> BytesFor(DType dtype, std::uint64_t elements);

}  // namespace metier::tensor
