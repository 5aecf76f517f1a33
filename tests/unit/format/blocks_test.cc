#include "format/blocks.h"

#include <cmath>
#include <cstring>

#include "base/json.h"
#include "format/decode.h"
#include "format/gguf.h"
#include "support/fixtures.h"

namespace metier::format {
namespace {

using tensor::DType;

std::span<const std::byte> AsBytes(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// Bit equality, so that -0 and NaN count.
void ExpectSameBits(std::span<const float> found, std::span<const float> expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    std::uint32_t a = 0;
    std::uint32_t b = 0;
    std::memcpy(&a, &found[i], 4);
    std::memcpy(&b, &expected[i], 4);
    ASSERT_EQ(a, b) << "element " << i << ": " << found[i] << " instead of " << expected[i];
  }
}

TEST(Blocks, EveryTypeOfTheFixturesDecodesBitForBit) {
  METIER_NEEDS_SHARED(shared);
  const std::string folder = shared + "/fixtures/blocks/";
  ASSERT_OK_AND_ASSIGN(const Json manifest, ReadJsonFile(folder + "manifest.json"));
  int types = 0;
  for (const auto& [name, info] : manifest["types"].items()) {
    SCOPED_TRACE(name);
    const auto dtype = tensor::DTypeFromName(name);
    ASSERT_TRUE(dtype);
    const std::string packed = test::ReadAll(folder + name + ".q.bin");
    const std::vector<float> expected = test::ReadF32(folder + name + ".f32.bin");
    std::vector<float> out(expected.size());
    ASSERT_OK(DecodeToF32(*dtype, AsBytes(packed), out));
    ExpectSameBits(out, expected);
    ++types;
  }
  EXPECT_EQ(types, 14);  // Q4_0 to IQ4_XS, F16 and BF16: nothing was skipped
}

TEST(Blocks, UnalignedInputDecodesToTheSame) {
  METIER_NEEDS_SHARED(shared);
  for (const char* name : {"Q6_K", "Q5_1", "BF16"}) {
    const std::string packed = test::ReadAll(shared + "/fixtures/blocks/" + name + ".q.bin");
    const std::string shifted = "x" + packed;
    std::vector<float> out(8 * 512);
    ASSERT_OK(DecodeToF32(*tensor::DTypeFromName(name), AsBytes(shifted).subspan(1), out));
    ExpectSameBits(out, test::ReadF32(shared + "/fixtures/blocks/" + name + ".f32.bin"));
  }
}

TEST(Blocks, QuantisedModelsDecodeAsTheReferenceReadsThem) {
  METIER_NEEDS_SHARED(shared);
  const std::string folder = shared + "/fixtures/quant/";
  ASSERT_OK_AND_ASSIGN(const Json manifest, ReadJsonFile(folder + "manifest.json"));
  const test::TempFolder temp;
  int models = 0;
  for (const auto& [name, info] : manifest.items()) {
    if (!info.contains("dequantised_tensor")) continue;  // F32 has no file: it is the reference
    SCOPED_TRACE(name);
    std::string path = folder + name + ".gguf";
    if (name == "F16" || name == "BF16") {
      test::WriteAll(temp / "model.gguf", test::ReadZstd(path + ".zst"));
      path = temp / "model.gguf";
    }
    ASSERT_OK_AND_ASSIGN(const GgufFile file, GgufFile::Open(path));
    const auto* view = file.Find(info["dequantised_tensor"].get<std::string>());
    ASSERT_NE(view, nullptr);
    const std::vector<float> expected = test::ReadF32(folder + name + ".tensor_f32.bin");
    ASSERT_OK_AND_ASSIGN(const tensor::Tensor decoded, DecodeTensor(*view));
    ASSERT_GE(decoded.f32().size(), expected.size());
    ExpectSameBits(decoded.f32().first(expected.size()), expected);
    ++models;
  }
  EXPECT_EQ(models, 13);
}

TEST(Encode, Q8_0ErrorIsAtMostHalfAStepAndTheScalesRounding) {
  std::vector<float> source(64);
  for (std::size_t i = 0; i < source.size(); ++i)
    source[i] = std::sin(static_cast<float>(i)) * (i < 32 ? 1.0F : 1000.0F);
  std::vector<std::byte> packed(68);
  ASSERT_OK(EncodeFromF32(DType::kQ8_0, source, packed));
  std::vector<float> out(64);
  ASSERT_OK(DecodeToF32(DType::kQ8_0, packed, out));
  for (std::size_t i = 0; i < source.size(); ++i) {
    const double largest = i < 32 ? 1.0 : 1000.0;
    // Half a step of absmax / 127, and f16 rounds the scale by at most 2^-11 of itself.
    const double bound = largest / 254 + largest * 0x1p-11;
    EXPECT_NEAR(out[i], source[i], bound) << i;
  }
}

TEST(Decode, RefusesWhatItCannotDo) {
  std::vector<std::byte> bytes(64);
  std::vector<float> out(8);
  EXPECT_ERROR(DecodeToF32(DType::kI64, bytes, out), ErrorCode::kUnsupported, "I64");
  EXPECT_ERROR(DecodeToF32(DType::kF32, bytes, out), ErrorCode::kInvalidArgument, "64 bytes given");
  EXPECT_ERROR(DecodeTensor({DType::kBool, {64}, bytes}), ErrorCode::kUnsupported, "BOOL");
}

}  // namespace
}  // namespace metier::format
