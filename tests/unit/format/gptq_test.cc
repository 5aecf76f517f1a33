// GPTQ linears: every scheme's weights to the last bit, as floats and as blocks; and what is
// refused.
#include "format/gptq.h"

#include <algorithm>
#include <functional>

#include "format/decode.h"
#include "support/fixtures.h"
#include "support/gptq_linear.h"

namespace metier::format {
namespace {

using tensor::DType;
using tensor::Tensor;
using test::GptqLinear;
using test::GptqScheme;

constexpr std::int64_t kOut = 64;
constexpr std::int64_t kIn = 256;

std::vector<float> Weights() {
  Rng rng(3);
  std::vector<float> w(kOut * kIn);
  for (float& value : w) value = static_cast<float>(0.1 * rng.Normal() + 0.02);
  return w;
}

// A linear's tensors, and what reads them.
struct Checkpoint {
  Tensor qweight, qzeros, scales, g_idx;
  GptqConfig config;
  bool with_index = true;

  Checkpoint(const GptqLinear& linear, const GptqScheme& scheme)
      : qweight(linear.QWeight()),
        qzeros(linear.QZeros()),
        scales(linear.Scales()),
        g_idx(linear.GIdx()),
        config{.bits = scheme.bits,
               .group_size = static_cast<std::int64_t>(scheme.group_size),
               .zeros_minus_one = scheme.zeros_minus_one} {}

  Result<GptqMatrix> Read() const {
    GptqTensors tensors{
        .qweight = qweight.view(), .qzeros = qzeros.view(), .scales = scales.view()};
    if (with_index) tensors.g_idx = g_idx.view();
    return GptqMatrix::Create(tensors, config, kOut, kIn);
  }
};

std::vector<std::int64_t> AllRows() {
  std::vector<std::int64_t> rows(kOut);
  for (std::int64_t i = 0; i < kOut; ++i) rows[static_cast<std::size_t>(i)] = kOut - 1 - i;
  return rows;
}

// Both forms of all rows, last row first, against the linear's own values.
void ExpectValues(const GptqMatrix& matrix, const std::vector<float>& expected) {
  std::vector<float> decoded(kOut * kIn);
  matrix.Decode(AllRows(), decoded);
  const std::uint64_t bytes = tensor::BytesFor(matrix.dtype(), kOut * kIn).value();
  std::vector<std::byte> encoded(bytes);
  matrix.Encode(AllRows(), encoded);
  std::vector<float> blocks(kOut * kIn);
  ASSERT_OK(DecodeToF32(matrix.dtype(), encoded, blocks));
  for (std::size_t r = 0; r < kOut; ++r) {
    const float* row = expected.data() + (kOut - 1 - r) * kIn;
    for (std::size_t i = 0; i < kIn; ++i) {
      ASSERT_EQ(decoded[r * kIn + i], row[i]) << r << " " << i;
      const std::size_t input = matrix.input_order().empty() ? i : matrix.input_order()[i];
      ASSERT_EQ(blocks[r * kIn + i], row[input]) << r << " " << i;
    }
  }
}

TEST(Gptq, EverySchemeHoldsItsWeights) {
  for (const int bits : {2, 3, 4, 8}) {
    for (const std::size_t group_size : {16UL, 32UL, 64UL, 128UL, 256UL}) {
      for (const int flags : {0, 1, 2, 3, 4, 5, 6, 7}) {
        const GptqScheme scheme{.bits = bits,
                                .group_size = group_size,
                                .symmetric = (flags & 1) != 0,
                                .act_order = (flags & 2) != 0,
                                .zeros_minus_one = (flags & 4) != 0};
        SCOPED_TRACE(::testing::Message()
                     << bits << " bits, groups of " << group_size << ", " << flags);
        const GptqLinear linear(scheme, Weights(), kOut, kIn, 11);
        const Checkpoint checkpoint(linear, scheme);
        ASSERT_OK_AND_ASSIGN(const GptqMatrix matrix, checkpoint.Read());
        const bool in_blocks = group_size >= 32 && (bits < 8 || scheme.symmetric);
        EXPECT_EQ(matrix.dtype() != DType::kF32, in_blocks);
        if (in_blocks && scheme.symmetric) {
          EXPECT_EQ(matrix.dtype(), bits == 8 ? DType::kQ8_0 : DType::kQ4_0);
        }
        EXPECT_EQ(matrix.input_order().empty(),
                  !in_blocks || !scheme.act_order || group_size == kIn);
        ExpectValues(matrix, linear.Values());
      }
    }
  }
}

TEST(Gptq, WithoutAnIndexGroupsFollowEachOther) {
  const GptqScheme scheme{.group_size = 64, .symmetric = false};
  const GptqLinear linear(scheme, Weights(), kOut, kIn, 1);
  Checkpoint checkpoint(linear, scheme);
  checkpoint.with_index = false;
  ASSERT_OK_AND_ASSIGN(const GptqMatrix matrix, checkpoint.Read());
  ExpectValues(matrix, linear.Values());
}

TEST(Gptq, OneGroupIsAGroupSizeOfMinusOne) {
  const GptqScheme scheme{.group_size = kIn};
  const GptqLinear linear(scheme, Weights(), kOut, kIn, 1);
  Checkpoint checkpoint(linear, scheme);
  checkpoint.with_index = false;
  checkpoint.config.group_size = -1;
  ASSERT_OK_AND_ASSIGN(const GptqMatrix matrix, checkpoint.Read());
  ExpectValues(matrix, linear.Values());
}

TEST(Gptq, TensorsThatDoNotFitAreNamed) {
  const GptqScheme scheme{};
  const GptqLinear linear(scheme, Weights(), kOut, kIn, 1);
  const auto changed = [&](const std::function<void(Checkpoint&)>& change) {
    Checkpoint checkpoint(linear, scheme);
    change(checkpoint);
    return checkpoint.Read();
  };
  EXPECT_ERROR(changed([](Checkpoint& c) {
                 c.qweight = Tensor(DType::kI32, {kIn / 8, kOut + 8});
               }),
               ErrorCode::kDataCorrupt, "qweight is I32 [32, 72], I32 [32, 64] expected");
  EXPECT_ERROR(changed([](Checkpoint& c) {
                 c.qweight = Tensor(DType::kF32, {kIn / 8, kOut});
               }),
               ErrorCode::kDataCorrupt, "qweight is F32");
  EXPECT_ERROR(changed([](Checkpoint& c) { c.config.bits = 8; }), ErrorCode::kDataCorrupt,
               "I32 [64, 64] expected");
  EXPECT_ERROR(changed([](Checkpoint& c) {
                 c.qzeros = Tensor(DType::kI32, {8, 9});
               }),
               ErrorCode::kDataCorrupt, "qzeros is I32 [8, 9], I32 [8, 8] expected");
  EXPECT_ERROR(changed([](Checkpoint& c) {
                 c.scales = Tensor(DType::kF32, {8, kOut});
               }),
               ErrorCode::kDataCorrupt, "scales is F32");
  EXPECT_ERROR(changed([](Checkpoint& c) { c.scales = Tensor(DType::kF16, {}); }),
               ErrorCode::kDataCorrupt, "scales is F16");
  EXPECT_ERROR(changed([](Checkpoint& c) { c.g_idx = Tensor(DType::kI32, {kIn + 1}); }),
               ErrorCode::kDataCorrupt, "g_idx is I32 [257]");
  for (const int group : {8, -1}) {
    EXPECT_ERROR(
        changed([&](Checkpoint& c) { std::memcpy(c.g_idx.bytes().data() + 4 * 5, &group, 4); }),
        ErrorCode::kDataCorrupt, "input 5 belongs to group");
  }
  EXPECT_ERROR(changed([](Checkpoint& c) {
                 c.with_index = false;
                 c.config.group_size = 16;
               }),
               ErrorCode::kDataCorrupt, "input 128 belongs to group 8, scales has 8");
}

TEST(Gptq, ConfigsAreReadOrRefusedByName) {
  const auto read = [](const char* text) { return ReadGptqConfig(*ParseJson(text)); };
  ASSERT_OK_AND_ASSIGN(
      const GptqConfig v1,
      read(R"({"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": true, "sym": true,
               "dynamic": null, "damp_percent": 0.01})"));
  EXPECT_EQ(v1.bits, 4);
  EXPECT_EQ(v1.group_size, 128);
  EXPECT_TRUE(v1.zeros_minus_one);
  ASSERT_OK_AND_ASSIGN(const GptqConfig v2,
                       read(R"({"bits": 8, "group_size": -1, "checkpoint_format": "gptq_v2"})"));
  EXPECT_EQ(v2.bits, 8);
  EXPECT_EQ(v2.group_size, -1);
  EXPECT_FALSE(v2.zeros_minus_one);
  const auto refused = [&](const char* text, ErrorCode code, const char* why) {
    EXPECT_ERROR(read(text), code, why);
  };
  refused(R"([])", ErrorCode::kDataCorrupt, "not an object");
  refused(R"({"group_size": 128})", ErrorCode::kDataCorrupt, "\"bits\" is missing");
  refused(R"({"bits": 4})", ErrorCode::kDataCorrupt, "\"group_size\" is missing");
  refused(R"({"bits": 5, "group_size": 128})", ErrorCode::kUnsupported, "5 bits");
  refused(R"({"bits": 4, "group_size": 0})", ErrorCode::kUnsupported, "group_size 0");
  refused(R"({"bits": 4, "group_size": 128, "quant_method": "awq"})", ErrorCode::kUnsupported,
          "\"awq\"");
  refused(R"({"bits": 4, "group_size": 128, "checkpoint_format": "marlin"})",
          ErrorCode::kUnsupported, "\"marlin\"");
  refused(R"({"bits": 4, "group_size": 128, "pack_dtype": "int8"})", ErrorCode::kUnsupported,
          "\"int8\"");
  refused(R"({"bits": 4, "group_size": 128, "dynamic": {"-:.*down.*": {}}})",
          ErrorCode::kUnsupported, "dynamic");
}

}  // namespace
}  // namespace metier::format
