// Order, packing, schedule and the run's folder: no LibTorch here.
#include <sys/resource.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "format/safetensors.h"
#include "support/fixtures.h"
#include "train/run_folder.h"
#include "train/schedule.h"
#include "train/token_data.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Permutation, VisitsEverythingOnce) {
  for (const std::int64_t count : {1, 2, 3, 7, 64, 1000, 4097}) {
    const Permutation order(count, 5, 0);
    std::set<std::int64_t> seen;
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t at = order.At(i);
      EXPECT_GE(at, 0);
      EXPECT_LT(at, count);
      seen.insert(at);
    }
    EXPECT_EQ(static_cast<std::int64_t>(seen.size()), count);
  }
}

TEST(Permutation, DependsOnSeedAndEpochAlone) {
  const Permutation a(1000, 5, 0);
  const Permutation same(1000, 5, 0);
  const Permutation epoch(1000, 5, 1);
  const Permutation seed(1000, 6, 0);
  int kept = 0;
  int fixed = 0;
  for (std::int64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(a.At(i), same.At(i));
    kept += a.At(i) == epoch.At(i) || a.At(i) == seed.At(i) ? 1 : 0;
    fixed += a.At(i) == i ? 1 : 0;
  }
  // A random permutation keeps one place on average; 20 is far out in the Poisson tail (p < 1e-15).
  EXPECT_LT(kept, 20);
  EXPECT_LT(fixed, 20);
}

TEST(Corpus, RefusesWhatDoesNotFit) {
  const TempFolder folder;
  EXPECT_ERROR(Corpus::Open({folder / "none"}, 10), ErrorCode::kNotFound, "none");
  const std::string path = folder / "t.safetensors";
  WriteTokens(path, {{1, 2, 11}}, {});
  EXPECT_ERROR(Corpus::Open({path}, 10), ErrorCode::kDataCorrupt, "id 11");
  EXPECT_OK(Corpus::Open({path}, 12));
  WriteTokens(folder / "small", {{1, 2}}, {});
  EXPECT_ERROR(Corpus::Open({folder / "small", path}, 10), ErrorCode::kDataCorrupt, path);
}

TEST(Corpus, NumbersExamplesThroughAllFiles) {
  const TempFolder folder;
  WriteTokens(folder / "a", {{1, 2}, {3, 4, 5}}, {});
  WriteTokens(folder / "b", {{6}}, {{0}});
  WriteTokens(folder / "c", {{7, 8}, {9, 1}}, {{0, 1}, {1, 0}});
  ASSERT_OK_AND_ASSIGN(const Corpus corpus,
                       Corpus::Open({folder / "a", folder / "b", folder / "c"}, 10));
  EXPECT_EQ(corpus.sources(), 3U);
  EXPECT_EQ(corpus.examples(), 5);
  const std::vector<std::size_t> sources = {0, 0, 1, 2, 2};
  const std::vector<std::int32_t> first_ids = {1, 3, 6, 7, 9};
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const auto example = static_cast<std::int64_t>(i);
    EXPECT_EQ(corpus.SourceOf(example), sources[i]) << i;
    EXPECT_EQ(corpus.Ids(example)[0], first_ids[i]) << i;
    EXPECT_EQ(corpus.Loss(example).size(), corpus.Ids(example).size()) << i;
  }
  EXPECT_THAT(corpus.Loss(4), ElementsAre(1, 0));
}

struct Packed {
  std::vector<std::vector<std::int64_t>> packs;  // lengths of the pieces
  PackingCounts counts;
};

Result<Packed> PackAll(const std::vector<std::vector<std::int32_t>>& examples,
                       const PackingOptions& options) {
  const TempFolder folder;
  WriteTokens(folder / "t", examples, {});
  METIER_ASSIGN(const Corpus corpus, Corpus::Open({folder / "t"}, 1000));
  Packed packed;
  METIER_ASSIGN(packed.counts, CountPacks(corpus, options, 3, 0));
  PackReader reader(corpus, options, 3, 0);
  for (Pack pack = reader.Next(); !pack.empty(); pack = reader.Next()) {
    packed.packs.emplace_back();
    for (const Piece& piece : pack) packed.packs.back().push_back(piece.tokens);
  }
  return packed;
}

TEST(Packing, FillsPacksWithWholeExamples) {
  std::vector<std::vector<std::int32_t>> examples;
  for (int i = 0; i < 40; ++i) examples.emplace_back(static_cast<std::size_t>(2 + i % 9), 7);
  PackingOptions options;
  options.max_tokens = 16;
  ASSERT_OK_AND_ASSIGN(const Packed packed, PackAll(examples, options));
  std::int64_t pieces = 0;
  for (std::size_t p = 0; p < packed.packs.size(); ++p) {
    std::int64_t tokens = 0;
    for (const std::int64_t length : packed.packs[p]) tokens += length;
    pieces += static_cast<std::int64_t>(packed.packs[p].size());
    EXPECT_LE(tokens, 16);
    const bool last = p + 1 == packed.packs.size();
    EXPECT_TRUE(last || tokens + packed.packs[p + 1][0] > 16) << p;
  }
  EXPECT_EQ(pieces, 40);
  EXPECT_EQ(packed.counts.pieces, 40);
  EXPECT_EQ(packed.counts.packs, static_cast<std::int64_t>(packed.packs.size()));
  options.packing = false;
  ASSERT_OK_AND_ASSIGN(const Packed alone, PackAll(examples, options));
  EXPECT_EQ(alone.packs.size(), 40U);
}

TEST(Packing, LongExamplesAreSplitTruncatedOrRefused) {
  const std::vector<std::vector<std::int32_t>> examples = {std::vector<std::int32_t>(25, 1)};
  PackingOptions options;
  options.max_tokens = 10;
  EXPECT_ERROR(PackAll(examples, options), ErrorCode::kDataCorrupt, "example 0 has 25 tokens");
  options.long_examples = LongExamples::kSplit;
  ASSERT_OK_AND_ASSIGN(const Packed split, PackAll(examples, options));
  EXPECT_THAT(split.packs, ElementsAre(ElementsAre(10), ElementsAre(10), ElementsAre(5)));
  EXPECT_EQ(split.counts.split_examples, 1);
  options.long_examples = LongExamples::kTruncate;
  ASSERT_OK_AND_ASSIGN(const Packed cut, PackAll(examples, options));
  EXPECT_THAT(cut.packs, ElementsAre(ElementsAre(10)));
  EXPECT_EQ(cut.counts.truncated_tokens, 15);
}

TEST(Packing, LeavesOutAndCountsWhatHasNothingToPredict) {
  const TempFolder folder;
  WriteTokens(folder / "t", {{1, 2, 3}, {4, 5, 6}}, {{0, 0, 0}, {0, 1, 1}});
  ASSERT_OK_AND_ASSIGN(const Corpus corpus, Corpus::Open({folder / "t"}, 10));
  ASSERT_OK_AND_ASSIGN(const PackingCounts counts, CountPacks(corpus, {}, 1, 0));
  EXPECT_EQ(counts.silent_pieces, 1);
  EXPECT_EQ(counts.predictions, 2);
  WriteTokens(folder / "silent", {{1, 2, 3}}, {{1, 0, 0}});  // a first token has no past
  ASSERT_OK_AND_ASSIGN(const Corpus silent, Corpus::Open({folder / "silent"}, 10));
  EXPECT_ERROR(CountPacks(silent, {}, 1, 0), ErrorCode::kDataCorrupt, "nothing to learn");
}

TEST(LearningRate, FollowsItsShape) {
  recipe::TrainConfig config;
  config.learning_rate = 1;
  config.warmup_steps = 4;
  config.lr_scheduler_type = "linear";
  EXPECT_DOUBLE_EQ(LearningRate(config, 0, 14), 0.25);
  EXPECT_DOUBLE_EQ(LearningRate(config, 3, 14), 1);
  EXPECT_DOUBLE_EQ(LearningRate(config, 9, 14), 0.5);
  config.lr_scheduler_type = "cosine";
  EXPECT_DOUBLE_EQ(LearningRate(config, 9, 14), 0.5);
  EXPECT_NEAR(LearningRate(config, 13, 14), 0.5 * (1 + std::cos(0.9 * 3.14159265358979)), 1e-9);
  config.lr_scheduler_type = "inverse_sqrt";  // of warm-up over steps
  EXPECT_DOUBLE_EQ(LearningRate(config, 3, 14), 1);
  EXPECT_DOUBLE_EQ(LearningRate(config, 4, 14), 1);
  EXPECT_DOUBLE_EQ(LearningRate(config, 13, 14), std::sqrt(4.0 / 13));
  config.lr_scheduler_type = "cosine";
  config.min_lr_ratio = 0.1;
  EXPECT_DOUBLE_EQ(LearningRate(config, 9, 14), 0.55);
  config.lr_scheduler_type = "constant_with_warmup";
  EXPECT_DOUBLE_EQ(LearningRate(config, 13, 14), 1);
  EXPECT_DOUBLE_EQ(LearningRate(config, 1, 14), 0.5);
  config.lr_scheduler_type = "constant";
  EXPECT_DOUBLE_EQ(LearningRate(config, 0, 14), 1);
}

TEST(StepReader, SkipsToTheSameStep) {
  const TempFolder folder;
  std::vector<std::vector<std::int32_t>> examples;
  for (int i = 0; i < 23; ++i) examples.emplace_back(static_cast<std::size_t>(3 + i % 5), i);
  WriteTokens(folder / "t", examples, {});
  ASSERT_OK_AND_ASSIGN(const Corpus corpus, Corpus::Open({folder / "t"}, 100));
  recipe::TrainConfig config;
  config.max_seq_len = 8;
  config.per_device_train_batch_size = 2;
  config.gradient_accumulation_steps = 2;
  config.num_train_epochs = 2.5;
  ASSERT_OK_AND_ASSIGN(const std::int64_t total, TotalSteps(corpus, config));
  const auto describe = [](const StepPlan& plan) {
    std::string text;
    for (const auto& batch : plan.batches)
      for (const Pack& pack : batch)
        for (const Piece& piece : pack) text += std::to_string(piece.example) + " ";
    return text + std::to_string(plan.epochs_done);
  };
  std::vector<std::string> steps;
  StepReader whole(corpus, config);
  for (std::int64_t i = 0; i < total; ++i) {
    ASSERT_OK_AND_ASSIGN(const StepPlan plan, whole.Next());
    EXPECT_GT(plan.predictions, 0);
    steps.push_back(describe(plan));
  }
  for (std::int64_t skip = 0; skip < total; ++skip) {
    StepReader reader(corpus, config);
    ASSERT_OK(reader.Skip(skip));
    ASSERT_OK_AND_ASSIGN(const StepPlan plan, reader.Next());
    EXPECT_EQ(describe(plan), steps[static_cast<std::size_t>(skip)]);
  }
}

TEST(RunFolder, KeepsCompleteCheckpointsOnly) {
  const TempFolder folder;
  std::filesystem::create_directories(folder / "run/tmp-1-checkpoint-9");
  WriteAll(folder / "run/tmp-1-checkpoint-9/half", "x");
  ASSERT_OK_AND_ASSIGN(const RunFolder run, RunFolder::Open(folder / "run"));
  EXPECT_FALSE(std::filesystem::exists(folder / "run/tmp-1-checkpoint-9"));
  for (const int step : {2, 10, 4}) {
    ASSERT_OK(run.Write("checkpoint-" + std::to_string(step), [](const std::string& path) {
      return WriteFileAtomic(path + "/a", "whole");
    }));
  }
  EXPECT_THAT(run.Checkpoints(), ElementsAre(2, 4, 10));
  const Status failed = run.Write("checkpoint-12", [](const std::string& path) -> Status {
    METIER_TRY(WriteFileAtomic(path + "/a", "half"));
    return Error(ErrorCode::kResourceExhausted, "no space left");
  });
  EXPECT_ERROR(failed, ErrorCode::kResourceExhausted, "no space left");
  EXPECT_THAT(run.Checkpoints(), ElementsAre(2, 4, 10));
  ASSERT_OK(run.Prune(2));
  EXPECT_THAT(run.Checkpoints(), ElementsAre(4, 10));
  EXPECT_ERROR(RunFolder::Open(folder / "run"), ErrorCode::kInvalidArgument, "another process");
}

TEST(RunFolder, RewindsItsLogPastATornLine) {
  const TempFolder folder;
  ASSERT_OK_AND_ASSIGN(const RunFolder run, RunFolder::Open(folder.path()));
  for (const int step : {10, 20, 30}) ASSERT_OK(run.Log({{"current_steps", step}}));
  WriteAll(folder / "trainer_log.jsonl",
           ReadAll(folder / "trainer_log.jsonl") + "{\"current_steps\": 4");
  ASSERT_OK(run.RewindLog(20));
  EXPECT_EQ(ReadAll(folder / "trainer_log.jsonl"),
            "{\"current_steps\":10}\n{\"current_steps\":20}\n");
}

TEST(LossCurve, ShowsRawSmoothedAndEvaluated) {
  Json history = Json::array();
  for (int i = 1; i < 5; ++i) history.push_back({{"step", i}, {"loss", 4.0 / i}});
  history.push_back({{"step", 4}, {"eval_loss", 2.0}});
  ASSERT_OK_AND_ASSIGN(const std::string svg, LossCurve(history));
  EXPECT_THAT(svg, HasSubstr("opacity=\"0.4\""));
  EXPECT_THAT(svg, HasSubstr("smoothed"));
  EXPECT_THAT(svg, HasSubstr("eval_loss"));
}

}  // namespace
}  // namespace metier::train
