// How several token files become one order of examples: no LibTorch here.
#include "train/example_order.h"

#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "support/fixtures.h"
#include "train/schedule.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

// Sources of so many examples; example e of source s has 2 + (7 e + s) % spread tokens.
Result<Corpus> MakeCorpus(const TempFolder& folder, const std::vector<int>& sizes, int spread) {
  std::vector<std::string> paths;
  for (std::size_t s = 0; s < sizes.size(); ++s) {
    paths.push_back(folder / "source" + std::to_string(s));
    std::vector<std::vector<std::int32_t>> examples;
    for (int e = 0; e < sizes[s]; ++e)
      examples.emplace_back(
          2 + (7 * static_cast<std::size_t>(e) + s) % static_cast<std::size_t>(spread), 1);
    WriteTokens(paths.back(), examples, {});
  }
  return Corpus::Open(paths, 10);
}

std::vector<std::int64_t> ReadOrder(const Corpus& corpus, const MixOptions& options,
                                    std::uint64_t seed, std::uint64_t epoch = 0) {
  std::vector<std::int64_t> order;
  const auto next = MakeOrder(corpus, options, 0, seed, epoch);
  while (const std::optional<std::int64_t> example = next->Next()) order.push_back(*example);
  return order;
}

class ExampleOrders : public ::testing::TestWithParam<OrderKind> {};
INSTANTIATE_TEST_SUITE_P(Kinds, ExampleOrders,
                         ::testing::Values(OrderKind::kShuffle, OrderKind::kPriority,
                                           OrderKind::kShares));

TEST_P(ExampleOrders, FollowFromSeedAndEpochAlone) {
  const TempFolder folder;
  ASSERT_OK_AND_ASSIGN(const Corpus corpus, MakeCorpus(folder, {40, 30, 20}, 9));
  const MixOptions options{GetParam(), {4, 2, 1}, {1, 2, 1}};
  const std::vector<std::int64_t> order = ReadOrder(corpus, options, 5);
  EXPECT_EQ(ReadOrder(corpus, options, 5), order);
  EXPECT_NE(ReadOrder(corpus, options, 6), order);
  EXPECT_NE(ReadOrder(corpus, options, 5, 1), order);
}

TEST(ExampleOrder, HasEachExampleAsOftenAsItIsRepeated) {
  const TempFolder folder;
  ASSERT_OK_AND_ASSIGN(const Corpus corpus, MakeCorpus(folder, {40, 1, 20}, 9));
  const std::vector<std::int64_t> repeats = {1, 5, 3};
  for (const OrderKind kind : {OrderKind::kShuffle, OrderKind::kPriority}) {
    std::map<std::int64_t, std::int64_t> times;
    for (const std::int64_t example : ReadOrder(corpus, {kind, {9, 3, 1}, repeats}, 2))
      ++times[example];
    EXPECT_EQ(times.size(), 61U);
    for (const auto& [example, count] : times)
      EXPECT_EQ(count, repeats[corpus.SourceOf(example)]) << example;
  }
}

// With one source there is nothing to mix: runs from before there were mixtures keep their order.
TEST(ExampleOrder, OfOneFileIsItsPermutation) {
  const TempFolder folder;
  ASSERT_OK_AND_ASSIGN(const Corpus corpus, MakeCorpus(folder, {50}, 5));
  const Permutation expected(50, 3, 2);
  const std::vector<std::int64_t> order = ReadOrder(corpus, {}, 3, 2);
  ASSERT_EQ(order.size(), 50U);
  for (std::size_t i = 0; i < 50; ++i)
    EXPECT_EQ(order[i], expected.At(static_cast<std::int64_t>(i)));
}

// P(next from s) = w_s * left_s / sum. Given what is left, draws are independent, so the counts of
// a decile lie around the sum of the chances with the variance sum p (1 - p); over 40 seeds.
TEST(ExampleOrder, OfPriorityDrawsAsWeightsTimesWhatIsLeft) {
  const TempFolder folder;
  const std::vector<int> sizes = {400, 300, 300};
  const std::vector<double> weights = {8, 4, 1};
  ASSERT_OK_AND_ASSIGN(const Corpus corpus, MakeCorpus(folder, sizes, 3));
  constexpr std::size_t kDeciles = 10;
  struct Tally {
    double drawn = 0;
    double expected = 0;
    double variance = 0;
  };
  std::array<std::array<Tally, 3>, kDeciles> tallies = {};
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    std::vector<double> left(sizes.begin(), sizes.end());
    const std::vector<std::int64_t> order =
        ReadOrder(corpus, {OrderKind::kPriority, weights, {}}, seed);
    ASSERT_EQ(order.size(), 1000U);
    for (std::size_t i = 0; i < order.size(); ++i) {
      double total = 0;
      for (std::size_t s = 0; s < 3; ++s) total += weights[s] * left[s];
      for (std::size_t s = 0; s < 3; ++s) {
        Tally& tally = tallies[i * kDeciles / order.size()][s];
        const double chance = weights[s] * left[s] / total;
        tally.expected += chance;
        tally.variance += chance * (1 - chance);
        tally.drawn += corpus.SourceOf(order[i]) == s ? 1 : 0;
      }
      left[corpus.SourceOf(order[i])] -= 1;
    }
  }
  for (std::size_t d = 0; d < kDeciles; ++d) {
    for (std::size_t s = 0; s < 3; ++s) {
      const Tally& tally = tallies[d][s];
      EXPECT_LE(std::abs(tally.drawn - tally.expected), 3 * std::sqrt(tally.variance))
          << "decile " << d << ", source " << s << ": " << tally.drawn << " of " << tally.expected;
    }
  }
  // It drifts: the first decile is mostly the heaviest source, the last one the lightest.
  EXPECT_GT(tallies[0][0].drawn, 0.6 * 40 * 100);
  EXPECT_GT(tallies[9][2].drawn, 0.9 * 40 * 100);
}

// 15:4:1 in tokens, after every example. The source with the least T / w is read next, so that
// m w <= T <= m w + L for all of them, m the least and L the longest example: of a share f of n
// sources, T - f (sum of T) lies between -f (n - 1) L and (1 - f) L.
TEST(ExampleOrder, OfSharesStaysWithinAnExampleOfThem) {
  const TempFolder folder;
  constexpr int kSpread = 40;
  constexpr double kLongest = kSpread + 1;
  ASSERT_OK_AND_ASSIGN(const Corpus corpus, MakeCorpus(folder, {300, 500, 100}, kSpread));
  const std::vector<double> weights = {15, 4, 1};
  std::vector<double> tokens(3);
  for (const std::int64_t example : ReadOrder(corpus, {OrderKind::kShares, weights, {}}, 1)) {
    tokens[corpus.SourceOf(example)] += static_cast<double>(corpus.Length(example));
    const double total = std::accumulate(tokens.begin(), tokens.end(), 0.0);
    for (std::size_t s = 0; s < 3; ++s) {
      const double share = weights[s] / 20;
      EXPECT_GE(tokens[s] - total * share, -share * 2 * kLongest) << example;
      EXPECT_LE(tokens[s] - total * share, (1 - share) * kLongest) << example;
    }
  }
  const double own = static_cast<double>(corpus.tokens(0) + corpus.tokens(1) + corpus.tokens(2));
  EXPECT_NEAR(tokens[0] + tokens[1] + tokens[2], own, kLongest);
}

recipe::TrainConfig FifteenFourOne() {
  recipe::TrainConfig config;
  config.train_mixture =
      recipe::DataMixture{"shares", {{"books", 15, 1}, {"papers", 4, 1}, {"general", 1, 1}}};
  config.max_seq_len = 64;
  config.per_device_train_batch_size = 1;
  config.max_steps = 20000;
  return config;
}

// PMC-LLaMA's mixture over 20,000 batches, and a run that resumes in the middle of an epoch.
TEST(StepReader, KeepsSharesOverManyBatchesAndResumesInAnEpoch) {
  const TempFolder folder;
  ASSERT_OK_AND_ASSIGN(const Corpus corpus, MakeCorpus(folder, {3000, 3000, 1000}, 60));
  const recipe::TrainConfig config = FifteenFourOne();
  constexpr std::int64_t kResume = 7777;
  StepReader reader(corpus, config);
  StepReader resumed(corpus, config);
  ASSERT_OK(resumed.Skip(kResume));
  std::vector<double> tokens(3);
  double within = 0;  // an epoch, when the run resumes
  for (std::int64_t step = 0; step < config.max_steps; ++step) {
    ASSERT_OK_AND_ASSIGN(const StepPlan plan, reader.Next());
    if (step + 1 == kResume) within = plan.epochs_done - std::floor(plan.epochs_done);
    StepPlan again;
    if (step >= kResume) {
      ASSERT_OK_AND_ASSIGN(again, resumed.Next());
    }
    for (std::size_t b = 0; b < plan.batches.size(); ++b) {
      for (std::size_t p = 0; p < plan.batches[b].size(); ++p) {
        for (std::size_t i = 0; i < plan.batches[b][p].size(); ++i) {
          const Piece& piece = plan.batches[b][p][i];
          tokens[corpus.SourceOf(piece.example)] += static_cast<double>(piece.tokens);
          if (step < kResume) continue;
          ASSERT_EQ(again.batches[b][p][i].example, piece.example) << step;
        }
      }
    }
  }
  EXPECT_GT(within, 0.1);
  EXPECT_LT(within, 0.9);
  const double total = tokens[0] + tokens[1] + tokens[2];
  EXPECT_NEAR(tokens[0] / total, 15.0 / 20, 0.01 * 15 / 20);
  EXPECT_NEAR(tokens[1] / total, 4.0 / 20, 0.01 * 4 / 20);
  EXPECT_NEAR(tokens[2] / total, 1.0 / 20, 0.01 * 1 / 20);
}

// Runs end to end: two files, stopped and resumed to the same bits, and what each gave is said.
TEST_F(Trainer, MixesFilesAndResumes) {
  WriteLearnable(folder_ / "second.safetensors", 12);
  Json config = TinyRun(folder_, "whole");
  config.erase("train_file");
  config["train_mixture"] = {
      {"order", "priority"},
      {"sources",
       {{{"file", folder_ / "train.safetensors"}, {"weight", 8}},
        {{"file", folder_ / "second.safetensors"}, {"weight", 1}, {"repeats", 2}}}}};
  std::string log;
  ASSERT_OK(RunTraining(config, [&](const Json& event) {
    if (event.at("event") == "log") log += event.at("text").get<std::string>();
    return false;
  }));
  EXPECT_THAT(log, ::testing::HasSubstr("second.safetensors' (2.00 times its own)"));
  config["output_dir"] = folder_ / "parts";
  ASSERT_OK(RunTraining(config, StopAt(5)));
  ASSERT_OK(RunTraining(config));
  EXPECT_EQ(HashOf(folder_ / "parts/final/model.safetensors"),
            HashOf(folder_ / "whole/final/model.safetensors"));
  // Other data is another run.
  ASSERT_OK(RunTraining(
      [&] {
        Json stopped = config;
        stopped["output_dir"] = folder_ / "other";
        return stopped;
      }(),
      StopAt(5)));
  WriteLearnable(folder_ / "second.safetensors", 13);
  config["output_dir"] = folder_ / "other";
  EXPECT_ERROR(RunTraining(config), ErrorCode::kInvalidArgument, "train_file");
}

}  // namespace
}  // namespace metier::train
