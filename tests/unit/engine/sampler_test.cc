#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "support/fixtures.h"

namespace metier::engine {
namespace {

using text::TokenId;

const std::vector<float> kLogits = {0.3F, 2.1F, -1.0F, 1.9F, 0.3F, -3.5F, 0.9F, 1.2F, -0.4F, 0.0F};

SamplerOptions Greedy() {
  SamplerOptions options;
  options.temperature = 0;
  return options;
}

TokenId First(const SamplerOptions& options, std::span<const float> logits, TokenMask mask = {}) {
  auto choice = Sampler(options).Next(logits, mask);
  return choice.ok() ? choice->token : -1;
}

TEST(Sampler, GreedyTakesTheLowestOfEqualLogits) {
  EXPECT_EQ(First(Greedy(), kLogits), 1);
  const std::vector<float> ties = {0, 5, 1, 5, 5};
  EXPECT_EQ(First(Greedy(), ties), 1);
}

// What the options say, by definition and without any cleverness: filters one after the other on a
// list sorted by probability.
std::vector<double> ExactDistribution(const SamplerOptions& options) {
  std::vector<std::size_t> order(kLogits.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(),
                   [](std::size_t a, std::size_t b) { return kLogits[a] > kLogits[b]; });
  std::vector<double> p(kLogits.size());
  const auto normalise = [&] {
    const double sum = std::accumulate(p.begin(), p.end(), 0.0);
    for (double& value : p) value /= sum;
  };
  for (std::size_t i = 0; i < p.size(); ++i) p[i] = std::exp(kLogits[i] / options.temperature);
  normalise();
  if (options.top_k > 0) {
    for (std::size_t i = static_cast<std::size_t>(options.top_k); i < order.size(); ++i)
      p[order[i]] = 0;
    normalise();
  }
  double before = 0;
  for (const std::size_t id : order) {
    const double mine = p[id];
    if (before >= options.top_p) p[id] = 0;
    before += mine;
  }
  normalise();
  const double largest = *std::max_element(p.begin(), p.end());
  for (double& value : p) {
    if (value < options.min_p * largest) value = 0;
  }
  normalise();
  return p;
}

// The 1 - 1e-6 quantile of chi-square (Wilson and Hilferty 1931).
double Quantile(double degrees) {
  const double h = 2 / (9 * degrees);
  return degrees * std::pow(1 - h + 4.753 * std::sqrt(h), 3);
}

TEST(Sampler, FrequenciesFollowTheExactDistribution) {
  std::vector<SamplerOptions> cases(7);
  cases[1].temperature = 0.5;
  cases[2].temperature = 2;
  cases[3].top_k = 4;
  cases[4].top_p = 0.8;
  cases[5].min_p = 0.2;
  cases[6] = {.temperature = 1.5, .top_k = 8, .top_p = 0.9, .min_p = 0.1};
  for (std::size_t c = 0; c < cases.size(); ++c) {
    const std::vector<double> expected = ExactDistribution(cases[c]);
    cases[c].seed = 17;
    Sampler sampler(cases[c]);
    constexpr int kDraws = 30000;
    std::vector<int> counts(kLogits.size());
    for (int i = 0; i < kDraws; ++i) {
      ASSERT_OK_AND_ASSIGN(const Choice choice, sampler.Next(kLogits));
      ++counts[static_cast<std::size_t>(choice.token)];
    }
    double chi_square = 0;
    double cells = 0;
    for (std::size_t id = 0; id < expected.size(); ++id) {
      if (expected[id] == 0) {
        EXPECT_EQ(counts[id], 0) << "case " << c << ": token " << id << " was filtered out";
        continue;
      }
      const double wanted = expected[id] * kDraws;
      chi_square += (counts[id] - wanted) * (counts[id] - wanted) / wanted;
      ++cells;
    }
    EXPECT_LT(chi_square, Quantile(cells - 1)) << "case " << c;
    EXPECT_GT(cells, 1) << "case " << c << " tests nothing";
  }
}

std::vector<TokenId> Draws(const SamplerOptions& options, int count) {
  Sampler sampler(options);
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back(sampler.Next(kLogits).value().token);
  return tokens;
}

TEST(Sampler, SeedAndStreamDecideEverything) {
  SamplerOptions options;
  options.seed = 3;
  SamplerOptions other_seed = options;
  other_seed.seed = 4;
  SamplerOptions other_stream = options;
  other_stream.stream = 1;
  EXPECT_EQ(Draws(options, 50), Draws(options, 50));
  EXPECT_NE(Draws(options, 50), Draws(other_seed, 50));
  EXPECT_NE(Draws(options, 50), Draws(other_stream, 50));
}

// Logits 4 (prompt), 3.9, -1 (prompt): penalty 2 halves 4 to 2 and doubles -1 to -2.
TEST(Sampler, RepetitionPenaltyDividesPositiveAndMultipliesNegativeLogits) {
  SamplerOptions options = Greedy();
  options.repetition_penalty = 2;
  const std::vector<float> logits = {4.0F, 3.9F, -1.0F};
  Sampler sampler(options);
  const std::vector<TokenId> prompt = {0, 2, 0};
  sampler.AddPrompt(prompt);
  EXPECT_EQ(sampler.Next(logits).value().token, 1);  // 2, 3.9, -2
  EXPECT_EQ(sampler.Next(logits).value().token, 0);  // 2, 1.95, -2: token 1 now counts too
  // Applied once, however often a token occurred: 4 / 2, not 4 / 2^3, still beats 1.99.
  const std::vector<float> close = {4.0F, 1.99F, 1.5F};
  Sampler once(options);
  once.AddPrompt(prompt);
  EXPECT_EQ(once.Next(close).value().token, 0);
  // Negative logits move away from zero: -1 becomes -2 and loses against -1.5.
  const std::vector<float> negative = {-1.0F, -1.5F, -9.0F};
  Sampler below(options);
  below.AddPrompt(prompt);
  EXPECT_EQ(below.Next(negative).value().token, 1);
}

// Presence is taken off once, frequency for every time; the prompt counts for neither.
TEST(Sampler, PresenceAndFrequencyCountTheAnswerOnly) {
  const std::vector<float> logits = {2.0F, 1.4F, 0.0F};
  const std::vector<TokenId> prompt = {0, 0, 0, 0};
  SamplerOptions presence = Greedy();
  presence.presence_penalty = 1;
  Sampler sampler(presence);
  sampler.AddPrompt(prompt);
  std::vector<TokenId> tokens;
  for (int i = 0; i < 4; ++i) tokens.push_back(sampler.Next(logits).value().token);
  // 2, 1.4, 0 -> 0;  1, 1.4, 0 -> 1;  1, 0.4, 0 -> 0;  still 1, 0.4, 0 -> 0.
  EXPECT_EQ(tokens, (std::vector<TokenId>{0, 1, 0, 0}));

  SamplerOptions frequency = Greedy();
  frequency.frequency_penalty = 0.5;
  Sampler counting(frequency);
  counting.AddPrompt(prompt);
  tokens.clear();
  for (int i = 0; i < 6; ++i) tokens.push_back(counting.Next(logits).value().token);
  // 2 -> 0; 1.5 -> 0; 1 < 1.4 -> 1; 1 > 0.9 -> 0; 0.5 < 0.9 -> 1; 0.5 > 0.4 -> 0.
  EXPECT_EQ(tokens, (std::vector<TokenId>{0, 0, 1, 0, 1, 0}));
}

TEST(Sampler, BiasIsAdded) {
  SamplerOptions options = Greedy();
  options.logit_bias = {{5, 6.0}, {1, -0.5}};
  EXPECT_EQ(First(options, kLogits), 5);  // -3.5 + 6 = 2.5 > 1.9 > 1.6
  options.logit_bias = {{1, -0.5}};
  EXPECT_EQ(First(options, kLogits), 3);
  options.logit_bias = {{10, 1.0}};
  EXPECT_ERROR(Sampler(options).Next(kLogits), ErrorCode::kInvalidArgument, "token 10");
}

TEST(Sampler, TheMaskDecidesWhatMayCome) {
  const std::vector<std::uint64_t> mask = {1ULL << 6 | 1ULL << 8};
  EXPECT_EQ(First(Greedy(), kLogits, mask), 6);
  SamplerOptions options;
  Sampler sampler(options);
  for (int i = 0; i < 100; ++i) {
    const TokenId token = sampler.Next(kLogits, mask).value().token;
    EXPECT_TRUE(token == 6 || token == 8) << token;
  }
  const std::vector<std::uint64_t> nothing = {0};
  EXPECT_ERROR(Sampler(options).Next(kLogits, nothing), ErrorCode::kInvalidArgument, "no token");
  // Ids behind the mask's last word are forbidden.
  std::vector<float> many(70, 0.0F);
  many[69] = 5;
  const std::vector<std::uint64_t> short_mask = {1ULL << 2};
  EXPECT_EQ(First(Greedy(), many, short_mask), 2);
}

TEST(Sampler, ProbabilitiesAreTheModelsOwn) {
  SamplerOptions options = Greedy();
  options.top_logprobs = 3;
  options.logit_bias = {{5, 100.0}};
  options.repetition_penalty = 1.7;
  ASSERT_OK_AND_ASSIGN(const Choice choice, Sampler(options).Next(kLogits));
  double sum = 0;
  for (const float logit : kLogits) sum += std::exp(static_cast<double>(logit));
  EXPECT_EQ(choice.token, 5);
  EXPECT_NEAR(choice.logprob, -3.5 - std::log(sum), 1e-12);
  ASSERT_EQ(choice.top.size(), 3U);
  EXPECT_EQ(choice.top[0].token, 1);
  EXPECT_EQ(choice.top[1].token, 3);
  EXPECT_EQ(choice.top[2].token, 7);
  EXPECT_NEAR(choice.top[1].logprob, kLogits[3] - std::log(sum), 1e-12);
  options.top_logprobs = 0;
  EXPECT_LT(Sampler(options).Next(kLogits)->logprob, 0);
  EXPECT_TRUE(Sampler(options).Next(kLogits)->top.empty());
}

TEST(Sampler, LogitsThatAreNotNumbersAreAnError) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    std::vector<float> logits = kLogits;
    logits[7] = bad;
    EXPECT_ERROR(Sampler(Greedy()).Next(logits), ErrorCode::kDataCorrupt, "not numbers");
  }
  std::vector<float> impossible = kLogits;
  impossible[1] = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(First(Greedy(), impossible), 3);
}

TEST(Sampler, OptionsOutOfRangeAreNamed) {
  const auto expect = [](auto change, const char* name) {
    SamplerOptions options;
    change(options);
    EXPECT_ERROR(Validate(options), ErrorCode::kInvalidArgument, name);
  };
  EXPECT_OK(Validate(SamplerOptions{}));
  expect([](SamplerOptions& o) { o.temperature = -1; }, "temperature");
  expect([](SamplerOptions& o) { o.temperature = std::nan(""); }, "temperature");
  expect([](SamplerOptions& o) { o.top_k = -1; }, "top_k");
  expect([](SamplerOptions& o) { o.top_p = 1.5; }, "top_p");
  expect([](SamplerOptions& o) { o.min_p = -0.1; }, "min_p");
  expect([](SamplerOptions& o) { o.repetition_penalty = 0; }, "repetition_penalty");
  expect([](SamplerOptions& o) { o.presence_penalty = 1e9; }, "presence_penalty");
  expect([](SamplerOptions& o) { o.frequency_penalty = 1e9; }, "frequency_penalty");
  expect([](SamplerOptions& o) { o.logit_bias = {{-1, 0.0}}; }, "logit_bias");
  expect([](SamplerOptions& o) { o.top_logprobs = -2; }, "top_logprobs");
}

}  // namespace
}  // namespace metier::engine
