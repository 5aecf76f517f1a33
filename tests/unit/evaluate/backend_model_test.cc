#include "evaluate/backend_model.h"

#include <cmath>
#include <deque>
#include <set>

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
    caches_.emplace_back();
    return SequenceId{static_cast<std::int64_t>(caches_.size()) - 1};
  }
  void CloseSequence(SequenceId) override { --open; }
  std::int64_t Length(SequenceId id) const override {
    return static_cast<std::int64_t>(caches_[static_cast<std::size_t>(id)].size());
  }
  void Truncate(SequenceId id, std::int64_t tokens) override {
    caches_[static_cast<std::size_t>(id)].resize(static_cast<std::size_t>(tokens));
  }
  Result<AdapterId> AddAdapter(const model::Adapter&) override { return AdapterId::kNone; }
  Status RemoveAdapter(AdapterId) override { return Ok(); }
  Result<std::span<const Rows>> Forward(std::span<const SequenceStep> steps) override {
    ++forwards;
    values_.assign(steps.size(), {});
    results_.clear();
    for (std::size_t s = 0; s < steps.size(); ++s) {
      std::vector<float>& values = values_[s];
      std::vector<TokenId>& cache = caches_[static_cast<std::size_t>(steps[s].sequence)];
      for (const TokenId token : steps[s].tokens) {
        cache.push_back(token);
        ++computed;
        std::int64_t sum = 0;
        for (const TokenId t : cache) sum += t;
        for (std::int64_t v = 0; v < spec_.vocab; ++v)
          values.push_back(Logit(sum, Length(steps[s].sequence), v));
      }
      if (steps[s].want == Want::kNothing) values.clear();
      if (steps[s].want == Want::kLast) values.erase(values.begin(), values.end() - spec_.vocab);
      results_.push_back(
          {static_cast<std::int64_t>(values.size()) / spec_.vocab, spec_.vocab, values});
    }
    return std::span<const Rows>(results_);
  }

  int open = 0;
  std::int64_t computed = 0;
  std::int64_t forwards = 0;

 private:
  model::ModelSpec spec_;
  std::deque<std::vector<TokenId>> caches_;
  std::vector<std::vector<float>> values_;
  std::vector<Rows> results_;
};

Result<std::vector<TokenId>> Greedy(BackendModel& model, const std::vector<TokenId>& tokens,
                                    std::int64_t max_tokens, std::span<const TokenId> stop = {}) {
  const Prompt prompt{.slot = 0, .tokens = tokens};
  METIER_ASSIGN(const auto replies, model.Greedy({&prompt, 1}, max_tokens, stop));
  return replies.front();
}

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
  ASSERT_OK_AND_ASSIGN(const auto reply, Greedy(*model, tokens, 5));
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
  ASSERT_OK_AND_ASSIGN(const auto stopped, Greedy(*model, SomeTokens(300), 5, stop));
  EXPECT_LE(stopped.size(), 2U);
}

TEST(BackendModel, SharedBeginningsAreComputedOnce) {
  SumBackend backend;
  ASSERT_OK_AND_ASSIGN(const auto model, BackendModel::Create(backend));
  auto tokens = SomeTokens(200);
  ASSERT_OK(Greedy(*model, tokens, 1));
  EXPECT_EQ(backend.computed, 200);
  tokens.push_back(3);
  tokens.push_back(4);
  ASSERT_OK_AND_ASSIGN(const auto longer, Greedy(*model, tokens, 1));
  EXPECT_EQ(backend.computed, 202);
  // The same answer as from an empty cache.
  SumBackend fresh;
  ASSERT_OK_AND_ASSIGN(const auto other, BackendModel::Create(fresh));
  ASSERT_OK_AND_ASSIGN(const auto expected, Greedy(*other, tokens, 1));
  EXPECT_EQ(longer, expected);
}

TEST(BackendModel, SeveralSlotsAnswerAsEachAloneInFewerSteps) {
  SumBackend backend;
  ASSERT_OK_AND_ASSIGN(const auto model, BackendModel::Create(backend));
  const std::vector<TokenId> stop = {4};
  std::vector<std::vector<TokenId>> texts;
  for (std::size_t i = 0; i < 5; ++i) {
    texts.push_back(SomeTokens(20 + 7 * i));
    texts.back()[0] = static_cast<TokenId>(i);  // every text has its own future
  }
  std::vector<Prompt> prompts;
  for (std::size_t i = 0; i < texts.size(); ++i) prompts.push_back({4 - i, texts[i]});
  ASSERT_OK_AND_ASSIGN(const auto together, model->Greedy(prompts, 12, stop));
  const std::int64_t steps = backend.forwards;
  EXPECT_EQ(backend.open, 5);
  ASSERT_EQ(together.size(), texts.size());
  std::size_t longest = 0;
  std::set<std::size_t> lengths;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    SumBackend fresh;
    ASSERT_OK_AND_ASSIGN(const auto alone, BackendModel::Create(fresh));
    ASSERT_OK_AND_ASSIGN(const auto reply, Greedy(*alone, texts[i], 12, stop));
    EXPECT_EQ(together[i], reply) << i;
    longest = std::max(longest, reply.size());
    lengths.insert(reply.size());
  }
  EXPECT_GT(lengths.size(), 1U) << "all stop at once: nothing is shown";
  EXPECT_LE(steps, static_cast<std::int64_t>(texts.size() + longest));
}

TEST(BackendModel, StopsAtTheModelsLongestSequence) {
  SumBackend backend;
  ASSERT_OK_AND_ASSIGN(const auto model, BackendModel::Create(backend));
  ASSERT_OK_AND_ASSIGN(const auto reply, Greedy(*model, SomeTokens(598), 100));
  EXPECT_EQ(reply.size(), 3U);  // two fit into the cache; the third is predicted and not appended
  EXPECT_ERROR(Greedy(*model, {}, 1), ErrorCode::kInvalidArgument, "empty prompt");
}

// A mixture by sequence: the sum of the prompt says which of two adapters answers, and an adapter
// moves what is believed.
class RoutedBackend : public SumBackend {
 public:
  Result<SequenceId> OpenSequence(AdapterId adapter) override {
    EXPECT_NE(adapter, kMixture) << "a mixture by sequence is opened with what it was routed to";
    adapters.push_back(adapter);
    return SumBackend::OpenSequence(adapter);
  }
  bool RoutesSequences(AdapterId adapter) const override { return adapter == kMixture; }
  Result<AdapterId> RouteSequence(AdapterId, std::span<const TokenId> prompt) override {
    prompts.emplace_back(prompt.begin(), prompt.end());
    return AdapterId{prompt.front() % 2};
  }
  static constexpr AdapterId kMixture{7};
  std::vector<AdapterId> adapters;
  std::vector<std::vector<TokenId>> prompts;
};

TEST(BackendModel, AMixtureBySequenceIsRoutedByWhatStandsBeforeTheScoredTokens) {
  RoutedBackend backend;
  {
    ASSERT_OK_AND_ASSIGN(const auto model, BackendModel::Create(backend, RoutedBackend::kMixture));
    EXPECT_EQ(backend.open, 0);
    const std::vector<TokenId> even = {4, 5, 6, 7};
    const std::vector<TokenId> odd = {5, 5, 6, 7};
    ASSERT_OK_AND_ASSIGN(const auto first, model->LogProbs(even, 2));
    ASSERT_OK(model->LogProbs(even, 2));  // the same prompt is not asked about again
    ASSERT_OK(model->LogProbs(even, 3));
    ASSERT_OK_AND_ASSIGN(const auto second, model->LogProbs(odd, 2));
    EXPECT_NEAR(first[0], ExpectedLogProb(even, 2), 1e-12);
    // Nothing of the other adapter's past is used again.
    EXPECT_NEAR(second[1], ExpectedLogProb(odd, 3), 1e-12);
    EXPECT_EQ(backend.computed, 3 + 2 + 1 + 3);
    ASSERT_OK(Greedy(*model, odd, 2));
    EXPECT_EQ(backend.open, 1);
  }
  EXPECT_EQ(backend.open, 0);
  EXPECT_EQ(backend.adapters, (std::vector<AdapterId>{AdapterId{0}, AdapterId{1}}));
  EXPECT_EQ(backend.prompts,
            (std::vector<std::vector<TokenId>>{{4, 5}, {4, 5, 6}, {5, 5}, {5, 5, 6, 7}}));
}

}  // namespace
}  // namespace metier::evaluate
