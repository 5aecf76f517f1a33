// Answers with proposals are drawn from the model's own distribution, and so are those without.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "engine/draft_model.h"
#include "engine/generate.h"
#include "engine/prompt_lookup.h"
#include "scripted_backend.h"
#include "words.h"

namespace metier::engine::test {
namespace {

using Tokens = std::vector<text::TokenId>;

// Three tokens that may follow each other, and how likely: tokens kHello, kWorld, kLy.
class Distribution : public ::testing::Test {
 protected:
  static constexpr double kTemperature = 0.8;
  static constexpr std::size_t kTokens = 3;
  using Table = std::vector<std::vector<float>>;

  double Probability(std::size_t after, std::size_t token) const {
    double sum = 0;
    for (const float logit : table_[after]) sum += std::exp(logit / kTemperature);
    return std::exp(table_[after][token] / kTemperature) / sum;
  }

  // Of the second to the fourth token; the first comes of the prompt alone.
  double Probability(std::size_t a, std::size_t b, std::size_t c) const {
    double sum = 0;
    for (std::size_t first = 0; first < kTokens; ++first) {
      sum += Probability(static_cast<std::size_t>(prompt_.back() - kHello), first) *
             Probability(first, a) * Probability(a, b) * Probability(b, c);
    }
    return sum;
  }

  // Pearson's statistic of those tokens in many answers, each with a seed of its own.
  double ChiSquare(Proposer* proposer) {
    ChainBackend backend(kVocab, kHello, table_);
    GenerateOptions options{.max_tokens = 6, .ignore_end_tokens = true, .proposer = proposer};
    options.sampler.temperature = kTemperature;
    std::vector<double> counts(kTokens * kTokens * kTokens);
    for (int i = 0; i < kAnswers; ++i) {
      options.sampler.seed = static_cast<std::uint64_t>(i);
      auto session = Session::Open(backend);
      const auto answer = Generate(*session, words_, prompt_, options);
      EXPECT_TRUE(answer.ok());
      std::size_t cell = 0;
      for (std::size_t at = 1; at < 4; ++at)
        cell = cell * kTokens + static_cast<std::size_t>(answer->tokens[at] - kHello);
      ++counts[cell];
      proposed_ += answer->proposed_tokens;
      accepted_ += answer->accepted_tokens;
    }
    double statistic = 0;
    for (std::size_t cell = 0; cell < counts.size(); ++cell) {
      const double expected = kAnswers * Probability(cell / 9, cell / 3 % 3, cell % 3);
      statistic += (counts[cell] - expected) * (counts[cell] - expected) / expected;
    }
    return statistic;
  }

  static constexpr int kAnswers = 2000;
  const Table table_ = {{0.9F, 0.0F, -0.3F}, {-0.5F, 0.4F, 0.2F}, {0.1F, 1.2F, -0.2F}};
  const Table other_table_ = {{0.2F, 0.5F, -0.3F}, {-0.1F, 0.4F, 0.5F}, {0.6F, 0.6F, 0.2F}};
  const Tokens prompt_ = {kHello, kWorld, kLy, kHello, kWorld, kHello, kWorld};
  text::Tokenizer words_ = Words();
  std::int64_t proposed_ = 0;
  std::int64_t accepted_ = 0;
};

// 26 degrees of freedom: above 76 once in a million.
TEST_F(Distribution, IsThatOfTheModelWhoeverProposes) {
  EXPECT_LT(ChiSquare(nullptr), 76);
  ChainBackend other(kVocab, kHello, other_table_);
  PromptLookup lookup;
  const auto likeliest = DraftModel::Create(other, kVocab, {.temperature = 0.0}).value();
  const auto drawn = DraftModel::Create(other, kVocab, {.temperature = 1.0, .seed = 5}).value();
  const auto alike = DraftModel::Create(other, kVocab).value();
  for (Proposer* proposer :
       {static_cast<Proposer*>(&lookup), static_cast<Proposer*>(likeliest.get()),
        static_cast<Proposer*>(drawn.get()), static_cast<Proposer*>(alike.get())}) {
    proposed_ = accepted_ = 0;
    EXPECT_LT(ChiSquare(proposer), 76);
    EXPECT_GT(accepted_, kAnswers / 4);
    EXPECT_GT(proposed_ - accepted_, kAnswers / 4);
  }
}

// Two models that rank the tokens alike draw the same more often with the same random numbers.
TEST_F(Distribution, ADraftThatDrawsAlikeIsAcceptedMoreOften) {
  ChainBackend other(kVocab, kHello,
                     {{0.8F, 0.1F, -0.3F}, {-0.4F, 0.5F, 0.2F}, {0.2F, 1.1F, -0.1F}});
  const auto accepted = [&](const DraftOptions& options) {
    const auto draft = DraftModel::Create(other, kVocab, options).value();
    accepted_ = 0;
    ChiSquare(draft.get());
    return accepted_;
  };
  EXPECT_GT(accepted({}), accepted({.temperature = kTemperature, .seed = 5}) * 3 / 2);
}

}  // namespace
}  // namespace metier::engine::test
