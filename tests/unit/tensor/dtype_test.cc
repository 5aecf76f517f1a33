#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace metier::tensor {
namespace {

TEST(DType, NamesAndNumbersLeadBack) {
  std::set<std::string_view> names;
  for (const DTypeInfo& info : AllDTypes()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_EQ(&InfoOf(info.dtype), &info);
    EXPECT_EQ(DTypeFromName(info.name), info.dtype);
    if (!info.safetensors_name.empty()) {
      EXPECT_EQ(DTypeFromSafetensors(info.safetensors_name), info.dtype);
    }
    if (info.ggml_type >= 0) {
      EXPECT_EQ(DTypeFromGgml(static_cast<std::uint32_t>(info.ggml_type)), info.dtype);
    }
  }
  EXPECT_EQ(DTypeFromName("F33"), std::nullopt);
  EXPECT_EQ(DTypeFromSafetensors(""), std::nullopt);
  EXPECT_EQ(DTypeFromSafetensors("Q4_0"), std::nullopt);
  EXPECT_EQ(DTypeFromGgml(4), std::nullopt);  // Q4_2, removed from the format
  EXPECT_EQ(DTypeFromGgml(0xffffffffU), std::nullopt);
}

// Bits a weight, from the layouts of the GGUF specification: scales and minima included.
TEST(DType, BlocksHaveTheirPublishedSizes) {
  const struct {
    DType dtype;
    double bits;
  } rows[] = {
      {DType::kF64, 64},      {DType::kF32, 32},     {DType::kBF16, 16},     {DType::kI8, 8},
      {DType::kBool, 8},      {DType::kQ4_0, 4.5},   {DType::kQ4_1, 5},      {DType::kQ5_0, 5.5},
      {DType::kQ5_1, 6},      {DType::kQ8_0, 8.5},   {DType::kQ8_1, 9},      {DType::kQ2_K, 2.625},
      {DType::kQ3_K, 3.4375}, {DType::kQ4_K, 4.5},   {DType::kQ5_K, 5.5},    {DType::kQ6_K, 6.5625},
      {DType::kQ8_K, 9.125},  {DType::kIQ4_NL, 4.5}, {DType::kIQ4_XS, 4.25}, {DType::kF8E4M3, 8}};
  for (const auto& [dtype, bits] : rows) {
    const DTypeInfo& info = InfoOf(dtype);
    EXPECT_EQ(8.0 * info.block_bytes / info.block_elements, bits) << info.name;
    EXPECT_EQ(IsQuantised(dtype), info.name.find('Q') != std::string_view::npos) << info.name;
  }
}

TEST(DType, BytesForCountsWholeBlocksAndSeesOverflow) {
  EXPECT_EQ(BytesFor(DType::kF32, 0), 0U);
  EXPECT_EQ(BytesFor(DType::kF32, 7), 28U);
  EXPECT_EQ(BytesFor(DType::kQ4_0, 64), 36U);
  EXPECT_EQ(BytesFor(DType::kQ4_0, 63), std::nullopt);
  EXPECT_EQ(BytesFor(DType::kQ6_K, 128), std::nullopt);
  EXPECT_EQ(BytesFor(DType::kF64, UINT64_MAX / 8), UINT64_MAX / 8 * 8);
  EXPECT_EQ(BytesFor(DType::kF64, UINT64_MAX / 8 + 1), std::nullopt);
}

}  // namespace
}  // namespace metier::tensor
