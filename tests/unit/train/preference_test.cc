// Learning from judged answers: what the objectives are, and runs of them.
#include "train/preference.h"

#include <cmath>
#include <filesystem>
#include <set>

#include "train/objective.h"
#include "train/schedule.h"
#include "unit/engine/tiny_models.h"
#include "unit/train/gradients.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

using format::Judgement;

double LogSigmoid(double x) { return -std::log1p(std::exp(-x)); }
double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// Two pairs, of 2, 1, 3 and 2 predictions.
struct Answers {
  Answers() {
    BatchBuilder builder;
    const double references[] = {-3.5, -1.25, -4, -6};
    const int lengths[] = {2, 1, 3, 2};
    for (int s = 0; s < 4; ++s) {
      builder.Add(1, BatchBuilder::Role::kRead);
      for (int i = 0; i < lengths[s]; ++i) builder.Add(2, BatchBuilder::Role::kPredicted);
      builder.EndSequence({.judgement = s % 2 == 0 ? Judgement::kGood : Judgement::kBad,
                           .reference = references[s]});
    }
    batch = std::move(builder).Build(TestDevice(), 8);
    log_probs = torch::tensor({-1.0, -2.0, -1.5, -0.5, -1.0, -1.25, -2.0, -3.0}, at::kDouble)
                    .to(TestDevice());
  }

  double Loss(const recipe::TrainConfig& config, double shift = 0, RewardCounts* counts = nullptr) {
    return PreferenceLoss(config, ScoreAnswers(log_probs, batch), batch, shift, counts)
        .item<double>();
  }

  Batch batch;
  at::Tensor log_probs;
};

constexpr double kRounding = 1e-13;  // a dozen operations on numbers below 10, in double

TEST(Preference, ScoresAreSumsAndMeansOfEachAnswer) {
  Answers answers;
  const AnswerScores scores = ScoreAnswers(answers.log_probs, answers.batch);
  const double sums[] = {-3, -1.5, -2.75, -5};
  const double counts[] = {2, 1, 3, 2};
  for (int s = 0; s < 4; ++s) {
    EXPECT_NEAR(scores.sums[s].item<double>(), sums[s], kRounding);
    EXPECT_NEAR(scores.means[s].item<double>(), sums[s] / counts[s], kRounding);
  }
}

TEST(Preference, DpoIsItsFormula) {
  Answers answers;
  recipe::TrainConfig config;
  config.stage = "dpo";
  config.pref_beta = 0.5;
  // Rewards: 0.5 * (0.5, -0.25, 1.25, 1).
  const double margins[] = {0.25 + 0.125, 0.625 - 0.5};
  RewardCounts counts;
  EXPECT_NEAR(answers.Loss(config, 0, &counts), -LogSigmoid(margins[0]) - LogSigmoid(margins[1]),
              kRounding);
  EXPECT_EQ(counts.right, 2);
  EXPECT_EQ(counts.all, 2);
  EXPECT_NEAR(counts.margin, margins[0] + margins[1], kRounding);
  config.dpo_label_smoothing = 0.2;
  double smoothed = 0;
  for (const double margin : margins)
    smoothed -= 0.8 * LogSigmoid(margin) + 0.2 * LogSigmoid(-margin);
  EXPECT_NEAR(answers.Loss(config), smoothed, kRounding);
  config.pref_ftx = 2;
  EXPECT_NEAR(answers.Loss(config), smoothed + 2 * (1.5 + 2.75 / 3), kRounding);
}

TEST(Preference, OrpoIsItsFormula) {
  Answers answers;
  recipe::TrainConfig config;
  config.stage = "orpo";
  config.pref_beta = 0.3;
  const auto odds = [](double mean) { return mean - std::log(1 - std::exp(mean)); };
  const double good[] = {-1.5, -2.75 / 3};
  const double bad[] = {-1.5, -2.5};
  double expected = 0;
  for (int pair = 0; pair < 2; ++pair)
    expected += -good[pair] - 0.3 * LogSigmoid(odds(good[pair]) - odds(bad[pair]));
  EXPECT_NEAR(answers.Loss(config), expected, kRounding);
  // An answer that is certain has odds without end, and a loss that is a number all the same.
  answers.log_probs.zero_();
  EXPECT_TRUE(std::isfinite(answers.Loss(config)));
}

TEST(Preference, KtoIsItsFormula) {
  Answers answers;
  recipe::TrainConfig config;
  config.stage = "kto";
  config.pref_beta = 0.5;
  config.kto_chosen_weight = 1.5;
  config.kto_rejected_weight = 0.75;
  const double shift = 0.4;
  double expected = 0;
  for (const double reward : {0.25, 0.625}) expected += 1.5 * (1 - Sigmoid(reward - 0.5 * shift));
  for (const double reward : {-0.125, 0.5}) expected += 0.75 * (1 - Sigmoid(0.5 * shift - reward));
  RewardCounts counts;
  EXPECT_NEAR(answers.Loss(config, shift, &counts), expected, kRounding);
  EXPECT_EQ(counts.right, 3);
  EXPECT_EQ(counts.all, 4);
}

class Stages : public Trainer, public ::testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    Trainer::SetUp();
    WriteJudged(folder_ / "judged", 50);
    WriteJudged(folder_ / "held-out", 10);
  }

  // Prompts of two tokens; good answers go on by 2 i + 1, bad ones by i + 3.
  static void WriteJudged(const std::string& path, int pairs) {
    auto writer = format::TokenFileWriter::Create(path);
    ASSERT_OK(writer);
    for (int p = 0; p < pairs; ++p) {
      const std::int32_t start = (p * 7 + pairs) % 61;
      for (const bool good : {true, false}) {
        std::vector<std::int32_t> ids = {62, start};
        for (int i = 0; i < 3 + p % 4; ++i)
          ids.push_back(good ? (2 * ids.back() + 1) % 61 : (ids.back() + 3) % 61);
        std::vector<std::uint8_t> loss(ids.size(), 1);
        loss[0] = loss[1] = 0;
        ASSERT_OK(writer->Add(ids, loss, good ? Judgement::kGood : Judgement::kBad));
      }
    }
    ASSERT_OK(writer->Finish({{format::kPairsKey, "true"}}));
  }

  Json StageRun(const std::string& base, const std::string& out) {
    Json config = LoraRun(base, out);
    config["stage"] = GetParam();
    config["train_file"] = folder_ / "judged";
    config["eval_file"] = folder_ / "held-out";
    config["learning_rate"] = 1e-2;
    config["lr_scheduler_type"] = "constant";
    config["logging_steps"] = 1;
    return config;
  }
};
INSTANTIATE_TEST_SUITE_P(All, Stages, ::testing::Values("dpo", "orpo", "kto"),
                         [](const auto& stage) { return stage.param; });

TEST_P(Stages, PreferGoodAnswersThatTheyHaveNotSeen) {
  const std::string base = Base();
  Json config = StageRun(base, "run");
  config["max_steps"] = 200;
  Json first;
  Json last;
  const EventSink sink = [&](const Json& event) {
    if (event.at("event") == "step" && first.is_null()) first = event;
    if (event.at("event") == "eval") last = event;
    return false;
  };
  ASSERT_OK_AND_ASSIGN(const Json reply, RunTraining(config, sink));
  // Before the first step policy and reference are one: margins of 0.
  if (GetParam() != "orpo") {
    EXPECT_NEAR(first.at("loss").get<double>(), GetParam() == "dpo" ? std::log(2.0) : 0.5, 1e-5);
  }
  EXPECT_GE(last.at("eval_rewards/accuracies").get<double>(), 0.9);
  EXPECT_GT(last.at("eval_rewards/margins").get<double>(), 0.1);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run" + "/references.safetensors") ==
              (GetParam() != "orpo"));
}

TEST_P(Stages, ResumeToTheSameBits) {
  const std::string base = Base();
  const auto weights = [](const Json& reply) {
    return HashOf(reply.at("output").get<std::string>() + "/adapter_model.safetensors");
  };
  Json config = StageRun(base, "whole");
  config["max_steps"] = 6;
  ASSERT_OK_AND_ASSIGN(const Json whole, RunTraining(config));
  config["output_dir"] = folder_ / "parts";
  ASSERT_OK(RunTraining(config, StopAt(3)));
  if (GetParam() != "orpo") {
    const std::string references = folder_ / "parts" + "/references.safetensors";
    std::filesystem::rename(references, references + ".away");
    EXPECT_ERROR(RunTraining(config), ErrorCode::kNotFound, "resume_from_checkpoint: never");
    std::filesystem::rename(references + ".away", references);
  }
  ASSERT_OK_AND_ASSIGN(const Json rest, RunTraining(config));
  EXPECT_EQ(weights(rest), weights(whole));
  EXPECT_EQ(rest.at("eval_loss"), whole.at("eval_loss"));

  // Asked to stop before anything was learnt, it begins where it was.
  config["output_dir"] = folder_ / "early";
  ASSERT_OK(RunTraining(config, [](const Json& event) { return event.at("event") == "log"; }));
  ASSERT_OK_AND_ASSIGN(const Json late, RunTraining(config));
  EXPECT_EQ(weights(late), weights(whole));
}

TEST_P(Stages, RefuseDataOfAnotherUse) {
  const std::string base = Base();
  Json config = StageRun(base, "run");
  config["train_file"] = folder_ / "train.safetensors";
  EXPECT_ERROR(RunTraining(config), ErrorCode::kDataCorrupt, "data build");
  config["train_file"] = folder_ / "judged";
  config["stage"] = "sft";
  EXPECT_ERROR(RunTraining(config), ErrorCode::kDataCorrupt, "say `stage: dpo`");
}

TEST_P(Stages, KeepPairsTogether) {
  ASSERT_OK_AND_ASSIGN(const Corpus corpus,
                       Corpus::Open({folder_ / "judged"}, 64, Corpus::Use::kPairs));
  PackingOptions options;
  options.max_tokens = 20;
  PackReader reader(corpus, options, 1, 0);
  std::set<std::int64_t> seen;
  bool several = false;
  for (Pack pack = reader.Next(); !pack.empty(); pack = reader.Next()) {
    ASSERT_EQ(pack.size() % 2, 0U);
    several = several || pack.size() > 2;
    for (std::size_t i = 0; i < pack.size(); i += 2) {
      EXPECT_EQ(pack[i].example % 2, 0);
      EXPECT_EQ(pack[i + 1].example, pack[i].example + 1);
      EXPECT_TRUE(seen.insert(pack[i].example).second);
    }
  }
  EXPECT_TRUE(several);
  EXPECT_EQ(seen.size(), 50U);
}

// The gradient that reaches the weights, and the shift of kto, which is no part of it.
TEST_P(Stages, HaveTheGradientsOfTheirFunction) {
  recipe::TrainConfig config;
  config.stage = GetParam();
  config.pref_beta = 0.7;
  const Objective objective(config);
  ASSERT_OK_AND_ASSIGN(const model::Family* family, model::FindFamily("llama"));
  const model::ModelSpec spec = family->tiny();
  NetworkOptions options;
  options.device = TestDevice();
  options.precision = {at::kDouble, at::kDouble};
  ASSERT_OK_AND_ASSIGN(const Network network,
                       Network::Create(spec, options, [&](const std::string& name) {
                         return engine::test::RandomParameterOf(spec, name);
                       }));
  BatchBuilder builder;
  for (int s = 0; s < 4; ++s) {
    for (int i = 0; i < 6 + s; ++i) {
      builder.Add((5 * i + 3 * s + 1) % spec.vocab,
                  i > 1 ? BatchBuilder::Role::kPredicted : BatchBuilder::Role::kRead);
    }
    builder.EndSequence(
        {.judgement = s % 2 == 0 ? Judgement::kGood : Judgement::kBad, .reference = -12.0 - s});
  }
  const Batch batch = std::move(builder).Build(TestDevice(), 8);
  Tally tally;
  const auto loss = [&] { return objective.Loss(network, batch, {1, 0.5}, 0, tally); };
  CheckGradients(network.Trainables(), loss);
}

}  // namespace
}  // namespace metier::train
