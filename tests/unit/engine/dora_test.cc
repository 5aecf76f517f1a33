// DoRA as it is served: what merged weights compute, in every family, over a base of blocks, and
// beside others in one step.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "model/merge.h"
#include "support/differences.h"
#include "tiny_models.h"

namespace metier::engine::test {
namespace {

using metier::test::LargestDifference;
using model::AdapterId;
using model::SequenceStep;
using model::TokenId;

// Magnitudes near the lengths of random rows, on two linears of three.
model::Adapter DoraAdapter(const model::ModelSpec& spec, std::uint64_t seed) {
  model::Adapter adapter = RandomAdapter(spec, seed);
  adapter.replaced.clear();
  Rng rng(seed);
  for (std::size_t i = 0; i < adapter.deltas.size(); ++i) {
    if (i % 3 == 2) continue;
    model::LoraDelta& delta = adapter.deltas[i];
    const double length = kScale * std::sqrt(static_cast<double>(delta.a.shape()[1]));
    delta.magnitude = tensor::Tensor(tensor::DType::kF32, {delta.b.shape()[0]});
    for (float& value : delta.magnitude->f32())
      value = static_cast<float>(length * (0.6 + 0.8 * rng.Uniform()));
  }
  return adapter;
}

class DoraSweep : public EveryFamily {};
INSTANTIATE_TEST_SUITE_P(Families, DoraSweep, ::testing::ValuesIn(model::Families()), FamilyName);

TEST_P(DoraSweep, ComputesWhatMergedWeightsDo) {
  const auto read = [&](const std::string& name) { return RandomParameterOf(spec_, name); };
  const std::vector<TokenId> tokens = RandomTokens(spec_, 20, 8);
  const model::Adapter adapter = DoraAdapter(spec_, 3);
  ASSERT_OK_AND_ASSIGN(const model::MergedModel merged, model::Merge(spec_, read, adapter));
  ASSERT_OK_AND_ASSIGN(const auto whole, NativeModel::FromReader(merged.spec, merged.read));
  NativeBackend expected(whole, {.threads = 1});
  NativeBackend backend(model_, {.threads = 2});
  ASSERT_OK_AND_ASSIGN(const AdapterId id, backend.AddAdapter(adapter));
  const std::vector<float> with = RunWhole(backend, tokens, {}, id);
  EXPECT_LE(LargestDifference(with, RunWhole(expected, tokens)), 2e-4);
  model::Adapter plain = adapter;
  for (model::LoraDelta& delta : plain.deltas) delta.magnitude.reset();
  ASSERT_OK_AND_ASSIGN(const AdapterId lora, backend.AddAdapter(plain));
  EXPECT_GT(LargestDifference(with, RunWhole(backend, tokens, {}, lora)), 0.05)
      << "magnitudes did nothing";
}

TEST_P(DoraSweep, InOneStepAreThoseOfEachAlone) {
  NativeBackend backend(model_, {.threads = 2});
  std::vector<AdapterId> ids = {AdapterId::kNone};
  for (const model::Adapter& adapter :
       {DoraAdapter(spec_, 3), RandomAdapter(spec_, 5), DoraAdapter(spec_, 4)}) {
    ASSERT_OK_AND_ASSIGN(const AdapterId id, backend.AddAdapter(adapter));
    ids.push_back(id);
  }
  const std::vector<TokenId> tokens = RandomTokens(spec_, 12, 9);
  std::vector<std::vector<float>> alone;
  std::vector<SequenceStep> steps;
  for (const AdapterId id : ids) {
    alone.push_back(RunWhole(backend, tokens, {}, id));
    ASSERT_OK_AND_ASSIGN(const model::SequenceId sequence, backend.OpenSequence(id));
    steps.push_back(
        {.sequence = sequence, .tokens = tokens, .types = {}, .want = model::Want::kAll});
  }
  ASSERT_OK_AND_ASSIGN(const auto rows, backend.Forward(steps));
  for (std::size_t i = 0; i < alone.size(); ++i)
    EXPECT_TRUE(std::ranges::equal(alone[i], rows[i].values)) << "sequence " << i;
}

// Lengths of the rows of packed blocks are those of the numbers that they stand for.
TEST(Dora, OverABaseOfBlocks) {
  model::ModelSpec spec = (*model::FindFamily("llama"))->tiny();
  spec.width = 64;
  spec.hidden = 96;
  for (const tensor::DType dtype : {tensor::DType::kQ8_0, tensor::DType::kQ4_0}) {
    const metier::test::TempFolder folder;
    ASSERT_OK(model::WriteGgufModel(
        folder / "m.gguf", spec, {.dtype = dtype}, {},
        [&](const std::string& name) { return RandomParameterOf(spec, name); }));
    ASSERT_OK_AND_ASSIGN(const model::ModelFiles files, model::ModelFiles::Open(folder / "m.gguf"));
    const auto read = [&](const std::string& name) { return files.LoadF32(name); };
    const model::Adapter adapter = DoraAdapter(files.spec(), 3);
    ASSERT_OK_AND_ASSIGN(const model::MergedModel merged,
                         model::Merge(files.spec(), read, adapter));
    ASSERT_OK_AND_ASSIGN(const auto whole, NativeModel::FromReader(merged.spec, merged.read));
    ASSERT_OK_AND_ASSIGN(const auto blocks, NativeModel::Open(folder / "m.gguf"));
    NativeBackend expected(whole, {.threads = 1});
    NativeBackend backend(blocks, {.threads = 1});
    ASSERT_OK_AND_ASSIGN(const AdapterId id, backend.AddAdapter(adapter));
    const std::vector<TokenId> tokens = RandomTokens(spec, 20, 8);
    EXPECT_LE(LargestDifference(RunWhole(backend, tokens, {}, id), RunWhole(expected, tokens)),
              2e-4);
  }
}

TEST(Dora, MagnitudesMustFit) {
  const model::ModelSpec spec = (*model::FindFamily("llama"))->tiny();
  NativeBackend backend(RandomModel(spec), {.threads = 1});
  model::Adapter adapter = DoraAdapter(spec, 3);
  adapter.deltas[0].magnitude = tensor::Tensor(tensor::DType::kF32, {3});
  EXPECT_ERROR(backend.AddAdapter(adapter), ErrorCode::kInvalidArgument, "has magnitudes F32 [3]");
}

}  // namespace
}  // namespace metier::engine::test
