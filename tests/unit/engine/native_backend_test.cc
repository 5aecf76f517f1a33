#include "engine/native_backend.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/embedding.h"
#include "engine/sampler.h"
#include "engine/scoring.h"
#include "engine/session.h"
#include "format/decode.h"
#include "kernels/dispatch.h"
#include "tensor/half.h"
#include "tiny_models.h"

namespace metier::engine::test {
namespace {

using model::AdapterId;
using model::SequenceId;
using model::SequenceStep;
using model::TokenId;
using model::Want;

class Backend : public ::testing::Test {
 protected:
  Backend() : spec_(TinySpec(*model::FindFamily("llama").value())), model_(RandomModel(spec_)) {}

  SequenceStep Step(SequenceId sequence, const std::vector<TokenId>& tokens,
                    Want want = Want::kLast) const {
    return {.sequence = sequence, .tokens = tokens, .types = {}, .want = want};
  }

  model::ModelSpec spec_;
  std::shared_ptr<const NativeModel> model_;
};

TEST_F(Backend, RefusesWhatMakesNoSenseAndChangesNothing) {
  NativeBackend backend(model_, {.threads = 1});
  ASSERT_OK_AND_ASSIGN(const SequenceId good, backend.OpenSequence(AdapterId::kNone));
  ASSERT_OK_AND_ASSIGN(const SequenceId other, backend.OpenSequence(AdapterId::kNone));
  const std::vector<TokenId> fine = {1, 2, 3};
  const auto expect = [&](const SequenceStep& bad, const char* text) {
    const SequenceStep steps[] = {Step(good, fine), bad};
    EXPECT_ERROR(backend.Forward(steps), ErrorCode::kInvalidArgument, text);
    EXPECT_EQ(backend.Length(good), 0);
    EXPECT_EQ(backend.Length(other), 0);
  };
  const std::vector<TokenId> outside = {1, static_cast<TokenId>(spec_.vocab)};
  const std::vector<TokenId> negative = {-1};
  const std::vector<TokenId> none;
  const std::vector<TokenId> types = {0, 0, 0};
  const std::vector<TokenId> longer(static_cast<std::size_t>(spec_.max_positions) + 1, 1);
  expect(Step(other, outside), "at index 1 is outside the vocabulary of 320");
  expect(Step(other, negative), "token -1");
  expect(Step(other, none), "without tokens");
  expect(Step(good, fine), "twice");
  expect(Step(other, longer), std::to_string(spec_.max_positions).c_str());
  SequenceStep typed = Step(other, fine);
  typed.types = types;
  expect(typed, "token types");
  EXPECT_ERROR(backend.OpenSequence(AdapterId{7}), ErrorCode::kInvalidArgument, "adapter");
}

TEST_F(Backend, TheLastPositionIsStillGood) {
  NativeBackend backend(model_, {.threads = 2});
  ASSERT_OK_AND_ASSIGN(const SequenceId sequence, backend.OpenSequence(AdapterId::kNone));
  const auto all = RandomTokens(spec_, static_cast<std::size_t>(spec_.max_positions), 1);
  const SequenceStep step = Step(sequence, all);
  ASSERT_OK(backend.Forward({&step, 1}));
  const std::vector<TokenId> one = {5};
  const SequenceStep more = Step(sequence, one);
  EXPECT_ERROR(backend.Forward({&more, 1}), ErrorCode::kInvalidArgument, "1 tokens after");
  backend.Truncate(sequence, 3);
  EXPECT_OK(backend.Forward({&more, 1}));
  EXPECT_EQ(backend.Length(sequence), 4);
}

TEST_F(Backend, MemoryLimitsAreNamedAndLeaveNothingBehind) {
  const KvCache one_page(spec_, {});
  NativeOptions options{.threads = 1, .max_cache_bytes = 2 * one_page.page_bytes()};
  NativeBackend backend(model_, options);
  ASSERT_OK_AND_ASSIGN(const SequenceId a, backend.OpenSequence(AdapterId::kNone));
  ASSERT_OK_AND_ASSIGN(const SequenceId b, backend.OpenSequence(AdapterId::kNone));
  const auto text = RandomTokens(spec_, 65, 1);  // two pages
  const SequenceStep both[] = {Step(a, text), Step(b, text)};
  EXPECT_ERROR(backend.Forward(both), ErrorCode::kResourceExhausted, "KV cache is full");
  EXPECT_EQ(backend.cache().used_bytes(), 0U);
  EXPECT_OK(backend.Forward({both, 1}));
  EXPECT_ERROR(backend.Forward({both + 1, 1}), ErrorCode::kResourceExhausted, "KV cache is full");
  backend.CloseSequence(a);
  EXPECT_OK(backend.Forward({both + 1, 1}));

  options = {.threads = 1, .max_result_bytes = 4 * 320 * 4};
  NativeBackend small(model_, options);
  ASSERT_OK_AND_ASSIGN(const SequenceId c, small.OpenSequence(AdapterId::kNone));
  const auto five = RandomTokens(spec_, 5, 1);
  const SequenceStep wide = Step(c, five, Want::kAll);
  EXPECT_ERROR(small.Forward({&wide, 1}), ErrorCode::kResourceExhausted, "results of 5 tokens");
  const SequenceStep last = Step(c, five);
  EXPECT_OK(small.Forward({&last, 1}));
}

model::Adapter AdapterOn(const std::string& linear, std::int64_t in, std::int64_t out) {
  model::Adapter adapter;
  adapter.name = "mine";
  adapter.deltas.push_back({.linear = linear,
                            .a = tensor::Tensor(tensor::DType::kF32, {2, in}),
                            .b = tensor::Tensor(tensor::DType::kF32, {out, 2})});
  return adapter;
}

TEST_F(Backend, AdaptersMustFitAndStayWhileUsed) {
  NativeBackend backend(model_, {.threads = 1});
  const std::int64_t width = spec_.width;
  EXPECT_ERROR(backend.AddAdapter(AdapterOn("layers.0.attn.qq", width, width)),
               ErrorCode::kInvalidArgument, "nearest: layers.0.attn.q");
  EXPECT_ERROR(backend.AddAdapter(AdapterOn("layers.0.attn.q", width + 1, spec_.q_width())),
               ErrorCode::kInvalidArgument, "expected A [rank, ");
  model::Adapter twice = AdapterOn("layers.0.attn.q", width, spec_.q_width());
  twice.deltas.push_back(twice.deltas.front());
  EXPECT_ERROR(backend.AddAdapter(twice), ErrorCode::kInvalidArgument, "two deltas");
  ASSERT_OK_AND_ASSIGN(const AdapterId id,
                       backend.AddAdapter(AdapterOn("layers.0.attn.q", width, spec_.q_width())));
  ASSERT_OK_AND_ASSIGN(const SequenceId sequence, backend.OpenSequence(id));
  EXPECT_ERROR(backend.RemoveAdapter(id), ErrorCode::kInvalidArgument, "in use by 1");
  backend.CloseSequence(sequence);
  EXPECT_OK(backend.RemoveAdapter(id));
  EXPECT_ERROR(backend.RemoveAdapter(id), ErrorCode::kInvalidArgument, "no adapter");
}

TEST_F(Backend, PastsAreKeptWhereTheCacheHasALimit) {
  const auto text = RandomTokens(spec_, 65, 1);
  NativeBackend keeping(model_, {.threads = 1, .max_cache_bytes = 1 << 24});
  RunWhole(keeping, text);
  EXPECT_EQ(keeping.cache_stats().idle_pages, 1);
  EXPECT_EQ(keeping.cache_stats().page_tokens, 64);
  for (const NativeOptions& options :
       {NativeOptions{.threads = 1},
        NativeOptions{.threads = 1, .max_cache_bytes = 1 << 24, .max_idle_cache_bytes = 0}}) {
    NativeBackend backend(model_, options);
    RunWhole(backend, text);
    EXPECT_EQ(backend.cache_stats().idle_pages, 0);
    EXPECT_EQ(backend.cache_stats().used_pages, 0);
  }
}

TEST_F(Backend, ARemovedAdapterLeavesNoPast) {
  NativeBackend backend(model_, {.threads = 1, .max_cache_bytes = 1 << 24});
  const model::Adapter adapter = AdapterOn("layers.0.attn.q", spec_.width, spec_.q_width());
  const auto text = RandomTokens(spec_, 65, 1);
  ASSERT_OK_AND_ASSIGN(const AdapterId id, backend.AddAdapter(adapter));
  RunWhole(backend, text, {}, id);
  RunWhole(backend, text);
  EXPECT_EQ(backend.FindPrefix(id, text).tokens, 64);
  ASSERT_OK(backend.RemoveAdapter(id));
  EXPECT_EQ(backend.FindPrefix(id, text).tokens, 0);
  EXPECT_EQ(backend.cache_stats().idle_pages, 1);  // the base's
  ASSERT_OK_AND_ASSIGN(const AdapterId next, backend.AddAdapter(adapter));
  EXPECT_NE(next, id);
}

TEST_F(Backend, ASessionAdoptsWhatAnotherComputed) {
  NativeBackend backend(model_, {.threads = 1, .max_cache_bytes = 1 << 24});
  const auto text = RandomTokens(spec_, 70, 1);
  ASSERT_OK_AND_ASSIGN(Session first, Session::Open(backend));
  ASSERT_OK_AND_ASSIGN(const auto cold, first.Set(text));
  const std::vector<float> expected(cold.begin(), cold.end());
  EXPECT_EQ(first.reused(), 0);
  ASSERT_OK_AND_ASSIGN(Session second, Session::Open(backend));
  ASSERT_OK_AND_ASSIGN(const auto warm, second.Set(text));
  EXPECT_EQ(second.reused(), 64);
  EXPECT_TRUE(std::equal(warm.begin(), warm.end(), expected.begin(), expected.end()));
  EXPECT_EQ(std::vector<TokenId>(second.tokens().begin(), second.tokens().end()), text);
  // The last token is always computed: there must be logits.
  ASSERT_OK_AND_ASSIGN(Session third, Session::Open(backend));
  ASSERT_OK(third.Set(std::span(text).first(64)));
  EXPECT_EQ(third.reused(), 0);
}

TEST_F(Backend, WholeWeightsOfAnAdapterMustFit) {
  NativeBackend backend(model_, {.threads = 1});
  const auto with = [&](const std::string& parameter, tensor::DType dtype, tensor::Shape shape) {
    model::Adapter adapter = AdapterOn("head", spec_.width, spec_.vocab);
    adapter.replaced.push_back({parameter, tensor::Tensor(dtype, std::move(shape))});
    return backend.AddAdapter(adapter);
  };
  const tensor::Shape shape = {spec_.vocab, spec_.width};
  EXPECT_ERROR(with("head.weight", tensor::DType::kF32, shape), ErrorCode::kInvalidArgument,
               "'head' has a delta and a weight of its own");
  EXPECT_ERROR(with("final_norm.weight", tensor::DType::kF32, shape), ErrorCode::kInvalidArgument,
               "no 'final_norm.weight' to replace");
  EXPECT_ERROR(with("embed.tokens", tensor::DType::kF32, {spec_.vocab + 1, spec_.width}),
               ErrorCode::kInvalidArgument, "'embed.tokens' is F32");
  EXPECT_ERROR(with("embed.tokens", tensor::DType::kBF16, shape), ErrorCode::kInvalidArgument,
               "'embed.tokens' is BF16");
  EXPECT_OK(with("embed.tokens", tensor::DType::kF32, shape));
}

TEST_F(Backend, ScoresAreThoseOfTheLogitsWhateverTheChunks) {
  NativeBackend backend(model_, {.threads = 2});
  const auto tokens = RandomTokens(spec_, 40, 3);
  const std::vector<float> logits = RunWhole(backend, tokens);
  std::vector<double> expected;
  for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
    const auto vocab = static_cast<std::size_t>(spec_.vocab);
    double sum = 0;
    for (std::size_t v = 0; v < vocab; ++v)
      sum += std::exp(static_cast<double>(logits[i * vocab + v]));
    expected.push_back(logits[i * vocab + static_cast<std::size_t>(tokens[i + 1])] - std::log(sum));
  }
  for (const std::int64_t chunk : {1, 7, 256}) {
    ASSERT_OK_AND_ASSIGN(const auto scores, ScoreTokens(backend, tokens, {.chunk_tokens = chunk}));
    ASSERT_EQ(scores.size(), expected.size());
    for (std::size_t i = 0; i < scores.size(); ++i) EXPECT_NEAR(scores[i], expected[i], 1e-9);
    ASSERT_OK_AND_ASSIGN(const auto tail,
                         ScoreTokens(backend, tokens, {.first = 30, .chunk_tokens = chunk}));
    EXPECT_EQ(tail, std::vector<double>(scores.begin() + 30, scores.end()));
  }
  EXPECT_TRUE(ScoreTokens(backend, {tokens.data(), 1}).value().empty());
  const std::vector<TokenId> outside = {1, 1000};
  EXPECT_ERROR(ScoreTokens(backend, outside), ErrorCode::kInvalidArgument, "outside");
  EXPECT_ERROR(Embed(backend, tokens), ErrorCode::kInvalidArgument, "encoder");
}

TEST_F(Backend, EmbeddingPoolsTheLastStates) {
  model::ModelSpec spec = TinySpec(*model::FindFamily("bert").value());
  spec.pooling = model::Pooling::kNone;
  spec.normalise_pooled = false;
  NativeBackend backend(RandomModel(spec), {.threads = 2});
  const auto tokens = RandomTokens(spec, 7, 3);
  const std::vector<float> states = RunWhole(backend, tokens);
  ASSERT_OK_AND_ASSIGN(const auto mean, Embed(backend, tokens));
  ASSERT_OK_AND_ASSIGN(const auto first, Embed(backend, tokens, {.pooling = model::Pooling::kCls}));
  ASSERT_OK_AND_ASSIGN(const auto last, Embed(backend, tokens, {.pooling = model::Pooling::kLast}));
  spec.pooling = model::Pooling::kLast;
  spec.normalise_pooled = true;
  NativeBackend normalising(RandomModel(spec), {.threads = 2});
  ASSERT_OK_AND_ASSIGN(const auto unit, Embed(normalising, tokens));
  const auto width = static_cast<std::size_t>(spec.width);
  ASSERT_EQ(mean.size(), width);
  double squares = 0;
  for (const float value : last) squares += static_cast<double>(value) * value;
  for (std::size_t d = 0; d < width; ++d) {
    double sum = 0;
    for (std::size_t t = 0; t < 7; ++t) sum += states[t * width + d];
    EXPECT_NEAR(mean[d], sum / 7, 1e-6);
    EXPECT_EQ(first[d], states[d]);
    EXPECT_EQ(last[d], states[6 * width + d]);
    EXPECT_NEAR(unit[d], last[d] / std::sqrt(squares), 1e-6);
  }
  const std::vector<TokenId> types = {0, 1, 2, 0, 0, 0, 0};
  EXPECT_ERROR(Embed(backend, tokens, {.types = types}), ErrorCode::kInvalidArgument,
               "token type 2");
  EXPECT_ERROR(Embed(backend, tokens, {.types = {types.data(), 3}}), ErrorCode::kInvalidArgument,
               "3 token types for 7");
}

// A matrix of any stored type multiplies as its floats do, whichever path decodes it.
TEST(Compute, StoredTypesMultiplyLikeTheirFloats) {
  constexpr std::int64_t kRows = 29;
  constexpr std::int64_t kColumns = 96;
  Rng rng(1);
  std::vector<float> x(5 * kColumns);
  for (float& value : x) value = static_cast<float>(rng.Normal());
  std::vector<float> values(kRows * kColumns);
  for (float& value : values) value = static_cast<float>(rng.Normal());
  for (const tensor::DType dtype :
       {tensor::DType::kF16, tensor::DType::kBF16, tensor::DType::kQ8_0}) {
    const auto bytes = tensor::BytesFor(dtype, values.size());
    std::vector<std::byte> stored(*bytes);
    ASSERT_OK(format::EncodeFromF32(dtype, values, stored));
    std::vector<float> decoded(values.size());
    ASSERT_OK(format::DecodeToF32(dtype, stored, decoded));
    const Matrix packed{.dtype = dtype,
                        .rows = kRows,
                        .columns = kColumns,
                        .data = stored.data(),
                        .row_bytes = stored.size() / kRows};
    const Matrix plain{.dtype = tensor::DType::kF32,
                       .rows = kRows,
                       .columns = kColumns,
                       .data = reinterpret_cast<const std::byte*>(decoded.data()),
                       .row_bytes = kColumns * sizeof(float)};
    for (const kernels::KernelTable* table : kernels::SupportedTables()) {
      Compute compute(*table, 2, Arithmetic::kExact);
      std::vector<float> a(5 * kRows);
      std::vector<float> b(5 * kRows);
      compute.Multiply(packed, nullptr, x.data(), 5, a.data());
      compute.Multiply(plain, nullptr, x.data(), 5, b.data());
      EXPECT_TRUE(a == b) << table->name << " " << tensor::InfoOf(dtype).name;
    }
  }
}

}  // namespace
}  // namespace metier::engine::test
