#include <algorithm>
#include <cmath>
#include <limits>

#include "base/json.h"
#include "base/rng.h"
#include "format/decode.h"
#include "format/encode_blocks.h"
#include "support/fixtures.h"

namespace metier::format {
namespace {

using tensor::DType;

std::vector<std::byte> Encoded(DType dtype, std::span<const float> source) {
  std::vector<std::byte> out(
      static_cast<std::size_t>(tensor::BytesFor(dtype, source.size()).value()));
  EXPECT_OK(EncodeFromF32(dtype, source, out));
  return out;
}

std::vector<float> ThereAndBack(DType dtype, std::span<const float> source) {
  std::vector<float> out(source.size());
  EXPECT_OK(DecodeToF32(dtype, Encoded(dtype, source), out));
  return out;
}

double RelativeError(std::span<const float> found, std::span<const float> exact) {
  double error = 0;
  double all = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    error += std::pow(static_cast<double>(found[i]) - exact[i], 2);
    all += std::pow(static_cast<double>(exact[i]), 2);
  }
  return all > 0 ? std::sqrt(error / all) : error;
}

std::vector<float> Normal(std::size_t n, double mean = 0, double deviation = 1) {
  Rng rng(3);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(mean + deviation * rng.Normal());
  return values;
}

class EveryQuantisedType : public ::testing::TestWithParam<DType> {};

std::vector<DType> QuantisedTypes() {
  std::vector<DType> types;
  for (const DType type : EncodableTypes()) {
    if (tensor::IsQuantised(type)) types.push_back(type);
  }
  return types;
}

INSTANTIATE_TEST_SUITE_P(Encode, EveryQuantisedType, ::testing::ValuesIn(QuantisedTypes()),
                         [](const auto& type) {
                           return std::string(tensor::InfoOf(type.param).name);
                         });

TEST(Encode, PlainTypesAndSimpleBlocksAreTheReferenceEncoding) {
  METIER_NEEDS_SHARED(shared);
  const std::vector<float> source = test::ReadF32(shared + "/fixtures/blocks/src_f32.bin");
  for (const char* name : {"F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"}) {
    const std::string expected =
        test::ReadAll(shared + "/fixtures/blocks/" + name + std::string(".q.bin"));
    const std::vector<std::byte> found = Encoded(*tensor::DTypeFromName(name), source);
    ASSERT_EQ(found.size(), expected.size());
    EXPECT_TRUE(std::ranges::equal(found, std::as_bytes(std::span(expected)))) << name;
  }
}

// The reference looks for scales too, with weights of its own in the error that it minimises.
TEST_P(EveryQuantisedType, ErrorStaysNearThatOfTheReferenceEncoder) {
  METIER_NEEDS_SHARED(shared);
  const std::string folder = shared + "/fixtures/blocks/";
  const std::vector<float> source = test::ReadF32(folder + "src_f32.bin");
  ASSERT_OK_AND_ASSIGN(const Json manifest, ReadJsonFile(folder + "manifest.json"));
  const std::string name(tensor::InfoOf(GetParam()).name);
  const Json& listed = manifest["types"][name]["relative_rms_error_per_row"];
  const std::vector<float> found = ThereAndBack(GetParam(), source);
  const std::size_t row = source.size() / listed.size();
  for (std::size_t r = 0; r < listed.size(); ++r) {
    // 3 % for another choice among nearly equal scales; 2^-11 for how f16 rounds the scale of a
    // row that is exact but for it (a constant).
    EXPECT_LE(RelativeError(std::span(found).subspan(r * row, row),
                            std::span(source).subspan(r * row, row)),
              1.03 * listed[r].get<double>() + 0x1p-11)
        << "row " << r;
  }
}

// Groups of up to 32 normal values stay within 4 deviations, but for one in a thousand. Steps of 8
// deviations / 2^bits, and errors spread evenly over a step: 1 / sqrt(12) of it.
TEST_P(EveryQuantisedType, ErrorOfNormalValuesFollowsFromTheBits) {
  const std::vector<float> source = Normal(1 << 14);
  const tensor::DTypeInfo& info = tensor::InfoOf(GetParam());
  const int bits = info.name[0] == 'I' ? 4 : info.name[1] - '0';
  EXPECT_LE(RelativeError(ThereAndBack(GetParam(), source), source),
            8 / std::exp2(bits) / std::sqrt(12));
}

// One sign throughout, far from zero: types with a shift or a sign of the scale have room for it.
TEST_P(EveryQuantisedType, ValuesOfOneSignKeepTheirMagnitude) {
  for (const double mean : {5.0, -5.0}) {
    const std::vector<float> source = Normal(1024, mean, 0.1);
    // Every type has a level within an eighth of the largest value: 8 levels of a sign, or 4
    // levels over the range from zero, of which three are above half of it.
    EXPECT_LE(RelativeError(ThereAndBack(GetParam(), source), source), 0.125) << mean;
  }
}

TEST_P(EveryQuantisedType, ZerosStayZerosAndTinyValuesVanish) {
  const std::vector<float> zeros(512, 0.0F);
  for (const float value : ThereAndBack(GetParam(), zeros)) ASSERT_EQ(value, 0.0F);
  for (const float tiny : {1e-41F, -1e-41F, 1e-30F}) {
    for (const float value : ThereAndBack(GetParam(), std::vector<float>(512, tiny)))
      ASSERT_LE(std::fabs(value), 1e-7F) << tiny;  // about f16's smallest step
  }
}

TEST_P(EveryQuantisedType, WhatAnF16ScaleCannotExpressIsRefused) {
  std::vector<float> source = Normal(512);
  std::vector<std::byte> out(static_cast<std::size_t>(tensor::BytesFor(GetParam(), 512).value()));
  for (const float huge : {5e8F, 1e30F, -std::numeric_limits<float>::max()}) {
    source[300] = huge;
    EXPECT_ERROR(EncodeFromF32(GetParam(), source, out), ErrorCode::kInvalidArgument, "f16 scale");
  }
  for (const float bad : {INFINITY, -INFINITY, NAN}) {
    source[300] = bad;
    EXPECT_ERROR(EncodeFromF32(GetParam(), source, out), ErrorCode::kInvalidArgument, "not finite");
  }
}

// Whatever is accepted comes back finite and within the range of its block.
TEST_P(EveryQuantisedType, AnyMagnitudeComesBackFiniteOrIsRefused) {
  for (int exponent = -45; exponent <= 38; ++exponent) {
    std::vector<float> source = Normal(256);
    float largest = 0;
    for (float& value : source) {
      value = static_cast<float>(value * std::pow(10.0, exponent) / 8);
      largest = std::max(largest, std::fabs(value));
    }
    std::vector<std::byte> out(static_cast<std::size_t>(tensor::BytesFor(GetParam(), 256).value()));
    if (!EncodeFromF32(GetParam(), source, out).ok()) {
      EXPECT_GE(exponent, 5);
      continue;
    }
    std::vector<float> back(256);
    ASSERT_OK(DecodeToF32(GetParam(), out, back));
    // Twice the largest: a level beyond it, in the coarsest type. 1e-4: the smallest f16 scale,
    // 2^-24, times the largest codes of a type.
    for (const float value : back) ASSERT_LE(std::fabs(value), 2 * largest + 1e-3F) << exponent;
  }
}

TEST_P(EveryQuantisedType, EncodesToAnyAddress) {
  const std::vector<float> source = Normal(256);
  const std::vector<std::byte> expected = Encoded(GetParam(), source);
  std::vector<std::byte> shifted(expected.size() + 1);
  ASSERT_OK(EncodeFromF32(GetParam(), source, std::span(shifted).subspan(1)));
  EXPECT_TRUE(std::ranges::equal(std::span(shifted).subspan(1), expected));
}

TEST(Encode, EveryTypeThatIsListedHasBothDirections) {
  for (const DType type : EncodableTypes()) {
    EXPECT_NE(EncoderOf(type), nullptr) << tensor::InfoOf(type).name;
    EXPECT_OK(EncodeFromF32(type, {}, {}));
  }
  EXPECT_EQ(EncodableTypes().size(), 15);
}

TEST(Encode, RefusesTypesThatNothingWrites) {
  EXPECT_ERROR(EncodeFromF32(DType::kQ8_K, {}, {}), ErrorCode::kUnsupported, "Q8_K");
  EXPECT_ERROR(EncodeFromF32(DType::kI64, {}, {}), ErrorCode::kUnsupported, "F32, F16, BF16, Q4_0");
  std::vector<std::byte> out(18);
  EXPECT_ERROR(EncodeFromF32(DType::kQ4_0, std::vector<float>(31), out),
               ErrorCode::kInvalidArgument, "18 bytes given");
}

}  // namespace
}  // namespace metier::format
