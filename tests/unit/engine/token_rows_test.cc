// Adapters with rows of their own in embedding and head: what merged weights compute, in every
// family, over a base of blocks, and several in one step.
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

// Rows for every `stride`-th token in whatever modules the model has, as one where they are tied.
model::Adapter RowsAdapter(const model::ModelSpec& spec, std::uint64_t seed, std::int64_t stride) {
  model::Adapter adapter = RandomAdapter(spec, seed);
  adapter.replaced.clear();
  std::erase_if(adapter.deltas, [](const auto& delta) { return delta.linear == "head"; });
  Rng rng(seed);
  model::TokenRows rows;
  for (std::int64_t token = 1; token < spec.vocab; token += stride) rows.tokens.push_back(token);
  rows.values = tensor::Tensor(tensor::DType::kF32,
                               {static_cast<std::int64_t>(rows.tokens.size()), spec.width});
  for (const model::WholeModule& module : model::WholeModules(spec)) {
    if (!spec.tied_head || adapter.rows.empty()) {
      for (float& value : rows.values.f32()) value = static_cast<float>(0.5 * rng.Normal());
    }
    rows.parameter = module.parameter;
    adapter.rows.push_back(rows);
  }
  return adapter;
}

class TokenRowsSweep : public EveryFamily {};
INSTANTIATE_TEST_SUITE_P(Families, TokenRowsSweep, ::testing::ValuesIn(model::Families()),
                         FamilyName);

TEST_P(TokenRowsSweep, ComputeWhatMergedWeightsDo) {
  const auto read = [&](const std::string& name) { return RandomParameterOf(spec_, name); };
  const std::vector<TokenId> tokens = RandomTokens(spec_, 20, 8);
  const model::Adapter adapter = RowsAdapter(spec_, 3, 2);
  ASSERT_OK_AND_ASSIGN(const model::MergedModel merged, model::Merge(spec_, read, adapter));
  EXPECT_EQ(merged.spec.tied_head, spec_.tied_head);
  ASSERT_OK_AND_ASSIGN(const auto whole, NativeModel::FromReader(merged.spec, merged.read));
  NativeBackend expected(whole, {.threads = 1});
  NativeBackend backend(model_, {.threads = 2});
  ASSERT_OK_AND_ASSIGN(const AdapterId id, backend.AddAdapter(adapter));
  const std::vector<float> with = RunWhole(backend, tokens, {}, id);
  EXPECT_LE(LargestDifference(with, RunWhole(expected, tokens)), 1e-4);
  EXPECT_GT(LargestDifference(with, RunWhole(backend, tokens)), 0.1) << "the rows did nothing";
}

// Of tokens that do not occur nobody sees the embedding's rows: only their own logits move.
TEST_P(TokenRowsSweep, OfTokensThatDoNotOccurMoveTheirLogitsAlone) {
  if (!spec_.head || !spec_.tied_head) return;
  model::Adapter adapter = RowsAdapter(spec_, 3, 2);
  adapter.deltas.clear();
  std::vector<TokenId> tokens = RandomTokens(spec_, 20, 8);
  for (TokenId& token : tokens) token -= token % 2;  // rows are of odd tokens
  NativeBackend backend(model_, {.threads = 1});
  ASSERT_OK_AND_ASSIGN(const AdapterId id, backend.AddAdapter(adapter));
  const std::vector<float> plain = RunWhole(backend, tokens);
  const std::vector<float> with = RunWhole(backend, tokens, {}, id);
  ASSERT_EQ(plain.size(), with.size());
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const auto token = static_cast<std::int64_t>(i) % spec_.vocab;
    if (token % 2 == 0) {
      ASSERT_EQ(plain[i], with[i]) << "token " << token;
    } else {
      ASSERT_NE(plain[i], with[i]) << "token " << token;
    }
  }
}

TEST_P(TokenRowsSweep, InOneStepAreThoseOfEachAlone) {
  NativeBackend backend(model_, {.threads = 2});
  std::vector<AdapterId> ids = {AdapterId::kNone};
  for (const model::Adapter& adapter :
       {RowsAdapter(spec_, 3, 2), RowsAdapter(spec_, 4, 3), RandomAdapter(spec_, 5)}) {
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
  for (std::size_t i = 0; i < alone.size(); ++i) {
    EXPECT_TRUE(std::ranges::equal(alone[i], rows[i].values)) << "sequence " << i;
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(alone[i], alone[j]);
  }
}

// A base of 8-bit blocks against the same numbers in float, merged.
TEST(TokenRows, OverABaseOfBlocks) {
  model::ModelSpec spec = (*model::FindFamily("llama"))->tiny();
  spec.width = 64;
  spec.hidden = 96;
  spec.tied_head = true;
  const metier::test::TempFolder folder;
  ASSERT_OK(model::WriteGgufModel(
      folder / "m.gguf", spec, {.dtype = tensor::DType::kQ8_0}, {},
      [&](const std::string& name) { return RandomParameterOf(spec, name); }));
  ASSERT_OK_AND_ASSIGN(const model::ModelFiles files, model::ModelFiles::Open(folder / "m.gguf"));
  const auto read = [&](const std::string& name) { return files.LoadF32(name); };
  const model::Adapter adapter = RowsAdapter(files.spec(), 3, 2);
  ASSERT_OK_AND_ASSIGN(const model::MergedModel merged, model::Merge(files.spec(), read, adapter));
  ASSERT_OK_AND_ASSIGN(const auto whole, NativeModel::FromReader(merged.spec, merged.read));
  ASSERT_OK_AND_ASSIGN(const auto blocks, NativeModel::Open(folder / "m.gguf"));
  NativeBackend expected(whole, {.threads = 1});
  NativeBackend backend(blocks, {.threads = 1});
  ASSERT_OK_AND_ASSIGN(const AdapterId id, backend.AddAdapter(adapter));
  const std::vector<TokenId> tokens = RandomTokens(spec, 20, 8);
  const std::vector<float> with = RunWhole(backend, tokens, {}, id);
  EXPECT_LE(LargestDifference(with, RunWhole(expected, tokens)), 1e-4);
  EXPECT_GT(LargestDifference(with, RunWhole(backend, tokens)), 0.1) << "the rows did nothing";
}

TEST(TokenRows, MustFitTheModel) {
  const model::ModelSpec spec = (*model::FindFamily("llama"))->tiny();
  NativeBackend backend(RandomModel(spec), {.threads = 1});
  const auto with = [&](const auto& change) {
    model::Adapter adapter = RowsAdapter(spec, 3, 2);
    change(adapter);
    return backend.AddAdapter(adapter);
  };
  const auto bad = ErrorCode::kInvalidArgument;
  EXPECT_OK(with([](model::Adapter&) {}));
  EXPECT_ERROR(with([&](auto& a) { a.rows[0].tokens.back() = spec.vocab; }), bad,
               "ascending tokens below");
  EXPECT_ERROR(with([](auto& a) { a.rows[0].tokens[1] = a.rows[0].tokens[0]; }), bad,
               "ascending tokens");
  EXPECT_ERROR(with([](auto& a) { a.rows[0].tokens.pop_back(); }), bad, "expected F32 [");
  EXPECT_ERROR(with([](auto& a) { a.rows[0].parameter = "final_norm.weight"; }), bad,
               "no 'final_norm.weight'");
  EXPECT_ERROR(with([&](auto& a) {
                 a.replaced.push_back({"embed.tokens", tensor::Tensor(tensor::DType::kF32,
                                                                      {spec.vocab, spec.width})});
               }),
               bad, "changed in another way");
}

}  // namespace
}  // namespace metier::engine::test
