#include "evaluate/backend_model.h"

#include <cmath>

#include "support/fixtures.h"

namespace metier::evaluate {
namespace {

using model::AdapterId;
using model::Rows;
using model::SequenceId;
using model::SequenceStep;
using model::Want;
using text::TokenId;

// Logits depend on the sum of all tokens in the cache, so that a wrong cache gives wrong figures;
// counts its work.
class SumBackend : public model::Backend {
 public:
  SumBackend() {
    spec_.vocab = 11;
    spec_.max_positions = 600;
  }
  static float Logit(std::int64_t sum, std::int64_t length, std::int64_t token) {
    return static_cast<float>((sum * 7 + length * 3 + token * 5) % 11) / 2.0F;
  }

  const model::ModelSpec& spec() const override { return spec_; }
  Result<SequenceId> OpenSequence(AdapterId) override {
    ++open;
    return SequenceId{0};
  }
  void CloseSequence(SequenceId) override { --open; }
  std::int64_t Length(SequenceId) const override {
    return static_cast<std::int64_t>(tokens_.size());
  }
  void Truncate(SequenceId, std::int64_t tokens) override {
    tokens_.resize(static_cast<std::size_t>(tokens));
  }
  Result<AdapterId> AddAdapter(const model::Adapter&) override { return AdapterId::kNone; }
  Status RemoveAdapter(AdapterId) override { return Ok(); }
  Result<std::vector<Rows>> Forward(std::span<const SequenceStep> steps) override {
    values_.clear();
    for (const TokenId token : steps[0].tokens) {
      tokens_.push_back(token);
      ++computed;
      std::int64_t sum = 0;
      for (const TokenId t : tokens_) sum += t;
      for (std::int64_t v = 0; v < spec_.vocab; ++v) values_.push_back(Logit(sum, Length({}), v));
    }
    if (steps[0].want == Want::kNothing) values_.clear();
    if (steps[0].want == Want::kLast) values_.erase(values_.begin(), values_.end() - spec_.vocab);
    return std::vector<Rows>{
        {static_cast<std::int64_t>(values_.size()) / spec_.vocab, spec_.vocab, values_}};
  }

  int open = 0;
  std::int64_t computed = 0;

 private:
  model::ModelSpec spec_;
  std::vector<TokenId> tokens_;
  std::vector<float> values_;
};

double ExpectedLogProb(const std::vector<TokenId>& tokens, std::size_t i) {
  std::int64_t sum = 0;
  for (std::size_t j = 0; j < i; ++j) sum += tokens[j];
  double total = 0;
  for (int v = 0; v < 11; ++v) {
    total += std::exp(static_cast<double>(SumBackend::Logit(sum, static_cast<std::int64_t>(i), v)));
  }
  return SumBackend::Logit(sum, static_cast<std::int64_t>(i), tokens[i]) - std::log(total);
}

std::vector<TokenId> SomeTokens(std::size_t count) {
  std::vector<TokenId> tokens;
  for (std::size_t i = 0; i < count; ++i) tokens.push_back(static_cast<TokenId>(i * i % 11));
  return tokens;
}

TEST(BackendModel, LogProbsAreTheSoftmaxOfTheRowBefore) {
  SumBackend backend;
  {
    ASSERT_OK_AND_ASSIGN(const auto model, BackendModel::Create(backend));
    const auto tokens = SomeTokens(520);  // three steps
    for (const std::size_t first : {1, 2, 257, 519, 520}) {
      ASSERT_OK_AND_ASSIGN(const auto log_probs, model->LogProbs(tokens, first));
      ASSERT_EQ(log_probs.size(), tokens.size() - first);
      for (std::size_t i = 0; i < log_probs.size(); ++i) {
        ASSERT_NEAR(log_probs[i], ExpectedLogProb(tokens, first + i), 1e-12)
            << "token " << first + i;
      }
    }
  }
  EXPECT_EQ(backend.open, 0);
}

TEST(BackendModel, GreedyTakesTheBestTokenUntilAStop) {
  SumBackend backend;
  ASSERT_OK_AND_ASSIGN(const auto model, BackendModel::Create(backend));
  std::vector<TokenId> tokens = SomeTokens(300);
  ASSERT_OK_AND_ASSIGN(const auto reply, model->Greedy(tokens, 5, {}));
  ASSERT_EQ(reply.size(), 5U);
  for (const TokenId token : reply) {
    std::int64_t sum = 0;
    for (const TokenId t : tokens) sum += t;
    for (int v = 0; v < 11; ++v) {
      const float best = SumBackend::Logit(sum, static_cast<std::int64_t>(tokens.size()), token);
      EXPECT_LE(SumBackend::Logit(sum, static_cast<std::int64_t>(tokens.size()), v), best);
    }
    tokens.push_back(token);
  }
  const std::vector<TokenId> stop = {reply[2]};
  ASSERT_OK_AND_ASSIGN(const auto stopped, model->Greedy(SomeTokens(300), 5, stop));
  EXPECT_LE(stopped.size(), 2U);
}

TEST(BackendModel, SharedBeginningsAreComputedOnce) {
  SumBackend backend;
  ASSERT_OK_AND_ASSIGN(const auto model, BackendModel::Create(backend));
  auto tokens = SomeTokens(200);
  ASSERT_OK(model->Greedy(tokens, 1, {}));
  EXPECT_EQ(backend.computed, 200);
  tokens.push_back(3);
  tokens.push_back(4);
  ASSERT_OK_AND_ASSIGN(const auto longer, model->Greedy(tokens, 1, {}));
  EXPECT_EQ(backend.computed, 202);
  // The same answer as from an empty cache.
  SumBackend fresh;
  ASSERT_OK_AND_ASSIGN(const auto other, BackendModel::Create(fresh));
  ASSERT_OK_AND_ASSIGN(const auto expected, other->Greedy(tokens, 1, {}));
  EXPECT_EQ(longer, expected);
}

TEST(BackendModel, StopsAtTheModelsLongestSequence) {
  SumBackend backend;
  ASSERT_OK_AND_ASSIGN(const auto model, BackendModel::Create(backend));
  ASSERT_OK_AND_ASSIGN(const auto reply, model->Greedy(SomeTokens(598), 100, {}));
  EXPECT_EQ(reply.size(), 3U);  // two fit into the cache; the third is predicted and not appended
  EXPECT_ERROR(model->Greedy({}, 1, {}), ErrorCode::kInvalidArgument, "empty prompt");
}

}  // namespace
}  // namespace metier::evaluate
