// Every registered family: the engine computes what model_spec.h says, and the promises of DESIGN
// section 9 hold to the bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "model/adapter.h"
#include "support/reference_model.h"
#include "tiny_models.h"

namespace metier::engine::test {
namespace {

using metier::test::ReferenceParameters;
using metier::test::RunReference;
using model::AdapterId;
using model::SequenceStep;
using model::TokenId;
using model::Want;

std::vector<TokenId> TypesFor(const model::ModelSpec& spec, std::size_t count) {
  return spec.types > 0 ? RandomTokens(
                              [&] {
                                auto s = spec;
                                s.vocab = spec.types;
                                return s;
                              }(),
                              count, 9)
                        : std::vector<TokenId>{};
}

void ExpectNear(const std::vector<float>& actual, const std::vector<double>& expected,
                double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  double worst = 0;
  double spread = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    worst = std::max(worst, std::abs(actual[i] - expected[i]));
    spread = std::max(spread, std::abs(expected[i]));
  }
  EXPECT_LE(worst, tolerance);
  EXPECT_GT(spread, 0.1) << "results too flat to test anything";
}

class FamilySweep : public EveryFamily {};

// What holds whatever keys and values are kept as.
class KvSweep : public ::testing::TestWithParam<std::tuple<const model::Family*, KvType>> {
 protected:
  KvSweep() : spec_(TinySpec(*std::get<0>(GetParam()))), model_(RandomModel(spec_)) {}

  NativeOptions Options(NativeOptions options) const {
    options.kv_type = std::get<1>(GetParam());
    return options;
  }

  model::ModelSpec spec_;
  std::shared_ptr<const NativeModel> model_;
};

// Float against double: about 2 layers * 12 operations, each a few units of 6e-8 of values
// below 10.
constexpr double kTolerance = 1e-4;

TEST_P(FamilySweep, MatchesTheReferenceInDouble) {
  const std::vector<TokenId> tokens = RandomTokens(spec_, 21, 1);
  const std::vector<TokenId> types = TypesFor(spec_, tokens.size());
  NativeBackend backend(model_, {.threads = 1});
  const ReferenceParameters parameters = [&](const std::string& name) {
    const tensor::Tensor values = RandomParameterOf(spec_, name).value();
    return std::vector<float>(values.f32().begin(), values.f32().end());
  };
  ExpectNear(RunWhole(backend, tokens, types),
             RunReference(spec_, parameters, tokens, types).output, kTolerance);
}

TEST_P(KvSweep, PrefillIsTokenByTokenToTheBit) {
  if (!spec_.causal) return;  // an encoder has no token by token
  const std::vector<TokenId> tokens = RandomTokens(spec_, 70, 2);  // more than a page
  NativeBackend backend(model_, Options({.threads = 1}));
  const std::vector<float> whole = RunWhole(backend, tokens);
  ASSERT_OK_AND_ASSIGN(const model::SequenceId sequence, backend.OpenSequence(AdapterId::kNone));
  std::vector<float> steps;
  for (const TokenId& token : tokens) {
    const SequenceStep step{
        .sequence = sequence, .tokens = {&token, 1}, .types = {}, .want = Want::kLast};
    ASSERT_OK_AND_ASSIGN(const auto rows, backend.Forward({&step, 1}));
    steps.insert(steps.end(), rows.front().values.begin(), rows.front().values.end());
  }
  EXPECT_EQ(backend.Length(sequence), 70);
  EXPECT_TRUE(whole == steps);
}

TEST_P(KvSweep, BatchPassesAndThreadsChangeNoBit) {
  const std::vector<std::vector<TokenId>> texts = {
      RandomTokens(spec_, 33, 3), RandomTokens(spec_, 1, 4), RandomTokens(spec_, 58, 5)};
  std::vector<std::vector<float>> alone;
  NativeBackend one(model_, Options({.threads = 1}));
  for (const auto& text : texts) alone.push_back(RunWhole(one, text));
  for (const NativeOptions& options : {NativeOptions{.threads = 1}, NativeOptions{.threads = 2},
                                       NativeOptions{.threads = 3, .pass_tokens = 7}}) {
    NativeBackend backend(model_, Options(options));
    std::vector<SequenceStep> steps;
    for (const auto& text : texts) {
      ASSERT_OK_AND_ASSIGN(const model::SequenceId id, backend.OpenSequence(AdapterId::kNone));
      steps.push_back({.sequence = id, .tokens = text, .types = {}, .want = Want::kAll});
    }
    ASSERT_OK_AND_ASSIGN(const auto rows, backend.Forward(steps));
    for (std::size_t i = 0; i < texts.size(); ++i) {
      EXPECT_TRUE(std::equal(alone[i].begin(), alone[i].end(), rows[i].values.begin(),
                             rows[i].values.end()))
          << "text " << i << ", " << options.threads << " threads";
    }
  }
}

// Prefill of one text while another decodes, then a cut back: what a server does all day.
TEST_P(KvSweep, MixedStepsAndTruncationChangeNoBit) {
  if (!spec_.causal) return;
  const std::vector<TokenId> first = RandomTokens(spec_, 20, 6);
  const std::vector<TokenId> second = RandomTokens(spec_, 30, 7);
  NativeBackend backend(model_, Options({.threads = 2}));
  const std::vector<float> whole = RunWhole(backend, first);
  ASSERT_OK_AND_ASSIGN(const model::SequenceId a, backend.OpenSequence(AdapterId::kNone));
  ASSERT_OK_AND_ASSIGN(const model::SequenceId b, backend.OpenSequence(AdapterId::kNone));
  const std::span<const TokenId> text = first;
  const SequenceStep start{
      .sequence = a, .tokens = text.first(19), .types = {}, .want = Want::kNothing};
  ASSERT_OK_AND_ASSIGN(const auto nothing, backend.Forward({&start, 1}));
  EXPECT_EQ(nothing.front().count, 0);
  for (int round = 0; round < 2; ++round) {
    const SequenceStep mixed[] = {
        {.sequence = b, .tokens = second, .types = {}, .want = Want::kLast},
        {.sequence = a, .tokens = text.subspan(19), .types = {}, .want = Want::kLast}};
    ASSERT_OK_AND_ASSIGN(const auto rows, backend.Forward(mixed));
    ASSERT_EQ(rows[1].count, 1);
    EXPECT_TRUE(
        std::equal(rows[1].values.begin(), rows[1].values.end(), whole.end() - spec_.vocab));
    backend.Truncate(a, 19);
    backend.Truncate(b, 0);
  }
}

TEST_P(FamilySweep, AnAdapterComputesWhatMergedWeightsDo) {
  const std::vector<TokenId> tokens = RandomTokens(spec_, 12, 8);
  const model::Adapter adapter = RandomAdapter(spec_, 11);
  ASSERT_FALSE(adapter.deltas.empty());
  ASSERT_FALSE(adapter.replaced.empty());
  model::ModelSpec untied = spec_;
  untied.tied_head = false;  // embedding and head are two now
  const ReferenceParameters merged = [&](const std::string& name) {
    for (const model::ReplacedWeight& weight : adapter.replaced) {
      if (weight.parameter == name)
        return std::vector<float>(weight.value.f32().begin(), weight.value.f32().end());
    }
    const tensor::Tensor stored = RandomParameterOf(spec_, name).value();
    std::vector<float> values(stored.f32().begin(), stored.f32().end());
    for (const model::LoraDelta& delta : adapter.deltas) {
      if (delta.linear + ".weight" != name) continue;
      const std::int64_t rank = delta.a.shape()[0];
      const std::int64_t in = delta.a.shape()[1];
      for (std::size_t i = 0; i < values.size(); ++i) {
        const auto row = static_cast<std::int64_t>(i) / in;
        double change = 0;
        for (std::int64_t r = 0; r < rank; ++r) {
          change +=
              static_cast<double>(delta.b.f32()[static_cast<std::size_t>(row * rank + r)]) *
              delta.a.f32()[static_cast<std::size_t>(r * in) + i % static_cast<std::size_t>(in)];
        }
        values[i] = static_cast<float>(values[i] + delta.scale * change);
      }
    }
    return values;
  };
  NativeBackend backend(model_, {.threads = 2});
  ASSERT_OK_AND_ASSIGN(const AdapterId id, backend.AddAdapter(adapter));
  const std::vector<float> plain = RunWhole(backend, tokens);
  const std::vector<float> adapted = RunWhole(backend, tokens, {}, id);
  EXPECT_FALSE(plain == adapted) << "the adapter does nothing";
  ExpectNear(adapted, RunReference(untied, merged, tokens).output, 2 * kTolerance);

  // With, without and with again in one step: nobody sees the others' adapter.
  std::vector<SequenceStep> steps;
  for (const AdapterId each : {id, AdapterId::kNone, id}) {
    ASSERT_OK_AND_ASSIGN(const model::SequenceId sequence, backend.OpenSequence(each));
    steps.push_back({.sequence = sequence, .tokens = tokens, .types = {}, .want = Want::kAll});
  }
  ASSERT_OK_AND_ASSIGN(const auto rows, backend.Forward(steps));
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const std::vector<float>& expected = i == 1 ? plain : adapted;
    EXPECT_TRUE(
        std::equal(expected.begin(), expected.end(), rows[i].values.begin(), rows[i].values.end()))
        << "sequence " << i;
  }
}

// A past that was computed for another sequence, whether that is open or closed, and a fork that
// goes its own way inside a page.
TEST_P(KvSweep, AdoptedAndForkedPastsChangeNoBit) {
  if (!spec_.causal) return;
  const std::vector<TokenId> tokens = RandomTokens(spec_, 80, 9);
  std::vector<TokenId> other = tokens;
  other[70] = (other[70] + 1) % static_cast<TokenId>(spec_.vocab);
  NativeBackend backend(model_,
                        Options({.threads = 2, .max_cache_bytes = 1 << 24, .page_hash = &NoHash}));
  const auto id = backend.AddAdapter(RandomAdapter(spec_, 12));
  ASSERT_TRUE(id.ok()) << id.error().message();
  for (const AdapterId adapter : {AdapterId::kNone, *id}) {
    const std::vector<float> cold = RunWhole(backend, tokens, {}, adapter);
    const std::vector<float> cold_other = RunWhole(backend, other, {}, adapter);
    ASSERT_OK_AND_ASSIGN(const model::SequenceId first, backend.OpenSequence(adapter));
    EXPECT_EQ(backend.FindPrefix(adapter, tokens).tokens, 64);
    ASSERT_EQ(backend.Adopt(first, tokens), 64);
    ASSERT_EQ(backend.Length(first), 64);
    const std::span<const TokenId> text = tokens;
    const SequenceStep to_70{
        .sequence = first, .tokens = text.subspan(64, 6), .types = {}, .want = Want::kNothing};
    ASSERT_OK(backend.Forward({&to_70, 1}));
    ASSERT_OK_AND_ASSIGN(const model::SequenceId second, backend.ForkSequence(first));
    const SequenceStep both[] = {
        {.sequence = second,
         .tokens = std::span<const TokenId>(other).subspan(70),
         .types = {},
         .want = Want::kAll},
        {.sequence = first, .tokens = text.subspan(70), .types = {}, .want = Want::kAll}};
    ASSERT_OK_AND_ASSIGN(const auto rows, backend.Forward(both));
    const std::ptrdiff_t from = 70 * spec_.vocab;
    EXPECT_TRUE(std::equal(rows[0].values.begin(), rows[0].values.end(), cold_other.begin() + from,
                           cold_other.end()));
    EXPECT_TRUE(
        std::equal(rows[1].values.begin(), rows[1].values.end(), cold.begin() + from, cold.end()));
    backend.CloseSequence(first);
    backend.CloseSequence(second);
  }
  EXPECT_EQ(backend.cache().used_bytes(), 0U);
}

TEST_P(FamilySweep, SavedAndLoadedItIsTheSameModel) {
  const std::vector<TokenId> tokens = RandomTokens(spec_, 9, 10);
  NativeBackend original(model_, {.threads = 1});
  const std::vector<float> expected = RunWhole(original, tokens);
  const metier::test::TempFolder folder;
  const auto read = [&](const std::string& name) { return RandomParameterOf(spec_, name); };
  ASSERT_OK(model::WriteHuggingFaceModel(folder / "hf", spec_, tensor::DType::kF32, read));
  std::vector<std::string> paths = {folder / "hf"};
  if (GetParam()->from_gguf != nullptr) {
    const Status written = model::WriteGgufModel(folder / "model.gguf", spec_,
                                                 {.dtype = tensor::DType::kF32}, {}, read);
    // Some tiny models use what the format cannot say (model/ tests which).
    if (written.ok()) {
      paths.push_back(folder / "model.gguf");
    } else {
      EXPECT_EQ(written.error().code(), ErrorCode::kUnsupported) << written.error().message();
    }
  }
  for (const std::string& path : paths) {
    ASSERT_OK_AND_ASSIGN(const auto loaded, NativeModel::Open(path));
    NativeBackend backend(loaded, {.threads = 1});
    EXPECT_TRUE(RunWhole(backend, tokens) == expected) << path;
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, FamilySweep,
                         ::testing::ValuesIn(model::Families().begin(), model::Families().end()),
                         FamilyName);
std::string KvSweepName(const ::testing::TestParamInfo<KvSweep::ParamType>& info) {
  constexpr const char* kNames[] = {"_f32", "_bf16", "_int8"};
  const auto [family, type] = info.param;
  return std::string(family->name) + kNames[static_cast<std::size_t>(type)];
}
INSTANTIATE_TEST_SUITE_P(
    Registry, KvSweep,
    ::testing::Combine(::testing::ValuesIn(model::Families().begin(), model::Families().end()),
                       ::testing::Values(KvType::kF32, KvType::kBF16, KvType::kInt8)),
    KvSweepName);

}  // namespace
}  // namespace metier::engine::test
