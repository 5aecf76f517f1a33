#include "engine/model_speed.h"

#include "engine/machine_speed.h"
#include "kernels/dispatch.h"
#include "unit/engine/tiny_models.h"

namespace metier::engine {
namespace {

class ModelSpeedTest : public ::testing::Test {
 protected:
  // A tiny model of the family as a GGUF file.
  std::string Write(const char* family, tensor::DType dtype) {
    spec_ = (*model::FindFamily(family))->tiny();
    const std::string path = folder_ / "model.gguf";
    EXPECT_OK(model::WriteGgufModel(
        path, spec_, {.dtype = dtype, .head_dtype = dtype}, {},
        [this](const std::string& name) { return test::RandomParameterOf(spec_, name); }));
    return path;
  }

  metier::test::TempFolder folder_;
  model::ModelSpec spec_;
};

void ExpectOrdered(const Spread& spread) {
  EXPECT_GT(spread.least, 0);
  EXPECT_LE(spread.least, spread.median);
  EXPECT_LE(spread.median, spread.most);
}

TEST_F(ModelSpeedTest, MeasuresWhatIsAskedForAndCountsItsSteps) {
  SpeedOptions options{.model = Write("llama", tensor::DType::kF32),
                       .prompt_tokens = 3,
                       .new_tokens = 2,
                       .past_tokens = 5,
                       .streams = {1, 3},
                       .adapters = 2,
                       .rank = 4,
                       .repeats = 2};
  for (const std::int64_t routed : {0, 2}) {
    options.routed = routed;
    std::uint64_t calls = 0;
    ASSERT_OK_AND_ASSIGN(
        const ModelSpeed speed, MeasureModel(options, [&](std::uint64_t done, std::uint64_t total) {
          EXPECT_EQ(done, ++calls);
          EXPECT_EQ(total, 2 * (1 + 2) * 3U);  // prompt, decode, both adapted too; one warms up
        }));
    EXPECT_EQ(calls, 18);
    ExpectOrdered(speed.prompt_tokens_per_second);
    ExpectOrdered(speed.adapted_prompt);
    ASSERT_EQ(speed.decode.size(), 2);
    EXPECT_EQ(speed.decode[0].streams, 1);
    EXPECT_EQ(speed.decode[1].streams, 3);
    for (const DecodeSpeed& decode : speed.decode) {
      ExpectOrdered(decode.tokens_per_second);
      ExpectOrdered(decode.adapted);
    }
    EXPECT_GT(speed.peak_bytes, speed.cache_bytes);
    EXPECT_EQ(speed.parameters, model::ParameterCount(spec_));
  }
}

// A page holds 64 tokens of a sequence: three sequences of 5 + 60 tokens need six.
TEST_F(ModelSpeedTest, CacheIsThatOfAllStreamsWithTheirPast) {
  spec_ = (*model::FindFamily("llama"))->tiny();
  SpeedOptions options{.model = Write("llama", tensor::DType::kF32),
                       .prompt_tokens = 0,
                       .new_tokens = 30,
                       .past_tokens = 30,
                       .streams = {3},
                       .repeats = 1};
  ASSERT_OK_AND_ASSIGN(const ModelSpeed speed, MeasureModel(options, [](auto, auto) {}));
  const auto head_dim = static_cast<std::size_t>(spec_.head_dim);
  const std::uint64_t page = 64 * sizeof(float) *
                             static_cast<std::uint64_t>(spec_.layers * spec_.kv_heads) *
                             (head_dim + kernels::PaddedHead(head_dim));
  EXPECT_EQ(speed.cache_bytes, 3 * page);
  EXPECT_EQ(speed.prompt_tokens_per_second.median, 0);

  options.past_tokens = 35;  // one token more than the model has positions
  EXPECT_ERROR(MeasureModel(options, [](auto, auto) {}), ErrorCode::kInvalidArgument,
               "the model has 64");
}

TEST_F(ModelSpeedTest, BytesOfATokenLeaveOutTheEmbeddingAndTheIdleExperts) {
  Write("mixtral", tensor::DType::kF32);
  ASSERT_OK_AND_ASSIGN(const model::ModelFiles files,
                       model::ModelFiles::Open(folder_ / "model.gguf"));
  std::int64_t experts = 0;
  for (const model::Parameter& parameter : model::Parameters(spec_)) {
    if (parameter.name.find(".experts.") != std::string::npos)
      experts += tensor::ElementCount(parameter.shape);
  }
  const std::int64_t others = model::ParameterCount(spec_) - experts - spec_.vocab * spec_.width;
  EXPECT_EQ(
      BytesReadPerToken(files),
      static_cast<std::uint64_t>(4 * (others + experts * spec_.moe.top_k / spec_.moe.experts)));
}

TEST_F(ModelSpeedTest, BytesOfATokenCountATiedHead) {
  Write("gemma", tensor::DType::kBF16);
  ASSERT_TRUE(spec_.tied_head);
  ASSERT_OK_AND_ASSIGN(const model::ModelFiles files,
                       model::ModelFiles::Open(folder_ / "model.gguf"));
  EXPECT_GE(BytesReadPerToken(files), static_cast<std::uint64_t>(2 * spec_.vocab * spec_.width));
}

TEST_F(ModelSpeedTest, RefusesWhatMakesNoSense) {
  const auto ignore = [](std::uint64_t, std::uint64_t) {};
  SpeedOptions options{.model = Write("llama", tensor::DType::kF32), .streams = {0}};
  EXPECT_ERROR(MeasureModel(options, ignore), ErrorCode::kInvalidArgument, "0 streams");
  options.streams = {1};
  options.repeats = 0;
  EXPECT_ERROR(MeasureModel(options, ignore), ErrorCode::kInvalidArgument, "0 repeats");
  options.repeats = 1;
  options.adapters = 2;
  options.routed = 3;
  EXPECT_ERROR(MeasureModel(options, ignore), ErrorCode::kInvalidArgument, "3 of 2 adapters");
  options = {.model = folder_ / "absent.gguf"};
  EXPECT_ERROR(MeasureModel(options, ignore), ErrorCode::kNotFound, "absent.gguf");
}

TEST(SpreadOf, MedianLeastAndMost) {
  const Spread odd = SpreadOf({5, 1, 3});
  EXPECT_EQ(odd.median, 3);
  EXPECT_EQ(odd.least, 1);
  EXPECT_EQ(odd.most, 5);
  EXPECT_EQ(SpreadOf({4, 1, 2, 9}).median, 3);
}

TEST(MachineSpeed, MeasuresEveryInstructionSet) {
  for (const kernels::KernelTable* table : kernels::SupportedTables()) {
    const MachineSpeed speed = MeasureMachine({.threads = 2,
                                               .kernels = table,
                                               .buffer_bytes = 1 << 20,
                                               .pass_seconds = 1e-4,
                                               .passes = 2});
    EXPECT_EQ(speed.isa, table->name);
    EXPECT_EQ(speed.threads, 2);
    EXPECT_GT(speed.read_bytes_per_second, 0);
    EXPECT_GT(speed.f32_operations_per_second, 0);
    EXPECT_GT(speed.int8_operations_per_second, 0);
  }
}

}  // namespace
}  // namespace metier::engine
