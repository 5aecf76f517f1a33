#include "tensor/dtype.h"

#include <array>

#include "base/check.h"
#include "base/limits.h"

namespace metier::tensor {
namespace {

// Block sizes from the GGUF specification: Q*_0/1 hold 32 weights, *_K hold 256.
constexpr std::array kTypes = {
    DTypeInfo{DType::kF64, "F64", "F64", 28, 1, 8},
    DTypeInfo{DType::kF32, "F32", "F32", 0, 1, 4},
    DTypeInfo{DType::kF16, "F16", "F16", 1, 1, 2},
    DTypeInfo{DType::kBF16, "BF16", "BF16", 30, 1, 2},
    DTypeInfo{DType::kF8E4M3, "F8_E4M3", "F8_E4M3", -1, 1, 1},
    DTypeInfo{DType::kF8E5M2, "F8_E5M2", "F8_E5M2", -1, 1, 1},
    DTypeInfo{DType::kI64, "I64", "I64", 27, 1, 8},
    DTypeInfo{DType::kI32, "I32", "I32", 26, 1, 4},
    DTypeInfo{DType::kI16, "I16", "I16", 25, 1, 2},
    DTypeInfo{DType::kI8, "I8", "I8", 24, 1, 1},
    DTypeInfo{DType::kU64, "U64", "U64", -1, 1, 8},
    DTypeInfo{DType::kU32, "U32", "U32", -1, 1, 4},
    DTypeInfo{DType::kU16, "U16", "U16", -1, 1, 2},
    DTypeInfo{DType::kU8, "U8", "U8", -1, 1, 1},
    DTypeInfo{DType::kBool, "BOOL", "BOOL", -1, 1, 1},
    DTypeInfo{DType::kQ4_0, "Q4_0", "", 2, 32, 18},
    DTypeInfo{DType::kQ4_1, "Q4_1", "", 3, 32, 20},
    DTypeInfo{DType::kQ5_0, "Q5_0", "", 6, 32, 22},
    DTypeInfo{DType::kQ5_1, "Q5_1", "", 7, 32, 24},
    DTypeInfo{DType::kQ8_0, "Q8_0", "", 8, 32, 34},
    DTypeInfo{DType::kQ8_1, "Q8_1", "", 9, 32, 36},
    DTypeInfo{DType::kQ2_K, "Q2_K", "", 10, 256, 84},
    DTypeInfo{DType::kQ3_K, "Q3_K", "", 11, 256, 110},
    DTypeInfo{DType::kQ4_K, "Q4_K", "", 12, 256, 144},
    DTypeInfo{DType::kQ5_K, "Q5_K", "", 13, 256, 176},
    DTypeInfo{DType::kQ6_K, "Q6_K", "", 14, 256, 210},
    DTypeInfo{DType::kQ8_K, "Q8_K", "", 15, 256, 292},
    DTypeInfo{DType::kIQ4_NL, "IQ4_NL", "", 20, 32, 18},
    DTypeInfo{DType::kIQ4_XS, "IQ4_XS", "", 23, 256, 136},
};

constexpr bool OrderedAsEnum() {
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    if (static_cast<std::size_t>(kTypes[i].dtype) != i) return false;
  }
  return true;
}
static_assert(OrderedAsEnum());

}  // namespace

std::span<const DTypeInfo> AllDTypes() { return kTypes; }

const DTypeInfo& InfoOf(DType dtype) {
  const auto index = static_cast<std::size_t>(dtype);
  METIER_CHECK(index < kTypes.size(), "a dtype outside the table");
  return kTypes[index];
}

std::optional<DType> DTypeFromName(std::string_view name) {
  for (const DTypeInfo& info : kTypes) {
    if (info.name == name) return info.dtype;
  }
  return std::nullopt;
}

std::optional<DType> DTypeFromSafetensors(std::string_view name) {
  for (const DTypeInfo& info : kTypes) {
    if (!name.empty() && info.safetensors_name == name) return info.dtype;
  }
  return std::nullopt;
}

std::optional<DType> DTypeFromGgml(std::uint32_t type) {
  for (const DTypeInfo& info : kTypes) {
    if (info.ggml_type >= 0 && static_cast<std::uint32_t>(info.ggml_type) == type)
      return info.dtype;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> BytesFor(DType dtype, std::uint64_t elements) {
  const DTypeInfo& info = InfoOf(dtype);
  if (elements % info.block_elements != 0) return std::nullopt;
  return CheckedMul(elements / info.block_elements, info.block_bytes);
}

}  // namespace metier::tensor
