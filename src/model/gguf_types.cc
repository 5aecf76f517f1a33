#include "model/gguf_types.h"

#include <fmt/format.h>

#include <array>

namespace metier::model {
namespace {

using tensor::DType;

struct GgufTypeRow {
  DType dtype;
  std::uint64_t file_type;  // as the GGUF specification numbers files whose matrices are of `dtype`
  DType instead;            // for rows that are not whole blocks
};

constexpr std::array kGgufTypes = {
    GgufTypeRow{DType::kF32, 0, DType::kF32},        GgufTypeRow{DType::kF16, 1, DType::kF16},
    GgufTypeRow{DType::kBF16, 32, DType::kBF16},     GgufTypeRow{DType::kQ4_0, 2, DType::kF16},
    GgufTypeRow{DType::kQ4_1, 3, DType::kF16},       GgufTypeRow{DType::kQ5_0, 8, DType::kF16},
    GgufTypeRow{DType::kQ5_1, 9, DType::kF16},       GgufTypeRow{DType::kQ8_0, 7, DType::kF16},
    GgufTypeRow{DType::kQ2_K, 10, DType::kIQ4_NL},   GgufTypeRow{DType::kQ3_K, 11, DType::kIQ4_NL},
    GgufTypeRow{DType::kQ4_K, 14, DType::kQ5_0},     GgufTypeRow{DType::kQ5_K, 16, DType::kQ5_1},
    GgufTypeRow{DType::kQ6_K, 18, DType::kQ8_0},     GgufTypeRow{DType::kIQ4_NL, 25, DType::kF16},
    GgufTypeRow{DType::kIQ4_XS, 30, DType::kIQ4_NL},
};

Result<GgufTypeRow> RowOf(DType dtype) {
  std::string names;
  for (const GgufTypeRow& row : kGgufTypes) {
    if (row.dtype == dtype) return row;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", tensor::InfoOf(row.dtype).name);
  }
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("models cannot be written as {}; expected one of {}",
                           tensor::InfoOf(dtype).name, names));
}

bool IsSmaller(DType a, DType b) {
  const tensor::DTypeInfo& x = tensor::InfoOf(a);
  const tensor::DTypeInfo& y = tensor::InfoOf(b);
  return x.block_bytes * y.block_elements < y.block_bytes * x.block_elements;
}

DType Fitting(DType dtype, std::int64_t row) {
  for (const GgufTypeRow& type : kGgufTypes) {
    if (type.dtype != dtype) continue;
    const bool whole = row % tensor::InfoOf(dtype).block_elements == 0;
    return whole ? dtype : Fitting(type.instead, row);
  }
  return dtype;
}

}  // namespace

Result<GgufTypes> GgufTypes::Create(DType body, std::optional<DType> head) {
  METIER_ASSIGN(const GgufTypeRow row, RowOf(body));
  if (head) METIER_TRY(RowOf(*head));
  const DType automatic = IsSmaller(body, DType::kQ6_K) ? DType::kQ6_K : body;
  return GgufTypes{.body = body, .head = head.value_or(automatic), .file_type = row.file_type};
}

DType GgufTypes::Of(const std::string& ours, const tensor::Shape& shape) const {
  const bool small = shape.size() < 2 || ours == "embed.positions" || ours == "embed.types" ||
                     ours == "embed.tasks" || ours.ends_with("router.weight") ||
                     ours.ends_with(".mix.weight");
  if (small) return DType::kF32;
  return Fitting(ours == "embed.tokens" || ours == "head.weight" ? head : body, shape.back());
}

}  // namespace metier::model
