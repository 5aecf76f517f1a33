// Masked language modelling: what is hidden, what batches and counts make of it, and encoders that
// learn to restore it.
#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "train/run_data.h"
#include "train/schedule.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

using ::testing::HasSubstr;

TEST(Masking, HidesTheirShareOfTheTokensInTheThreeWays) {
  constexpr int kCount = 100'000;
  constexpr std::int32_t kMask = 63;
  constexpr std::int32_t kToken = 7;
  const Masking masking{.probability = 0.15, .mask_token = kMask};
  std::array<double, 4> counts = {};  // hidden, of these by the mask, by others, not at all
  for (int i = 0; i < kCount; ++i) {
    const auto read = Hide(masking, kToken, 1000, /*key=*/5, i);
    EXPECT_EQ(Hide(masking, kToken, 1000, 5, i), read);
    if (!read) continue;
    ++counts[0];
    ++counts[*read == kMask ? 1U : *read == kToken ? 3U : 2U];
  }
  // Six standard deviations of a binomial share (one in a thousand random tokens are the mask's or
  // the token's own).
  const auto near = [](double part, double whole, double share) {
    EXPECT_NEAR(part / whole, share, 6 * std::sqrt(share * (1 - share) / whole) + 1e-3 * share);
  };
  near(counts[0], kCount, 0.15);
  near(counts[1], counts[0], 0.8);
  near(counts[2], counts[0], 0.1);
  near(counts[3], counts[0], 0.1);
}

class MaskedData : public Trainer {
 protected:
  Json Config() {
    Json config = TinyRun(folder_, "run");
    config["stage"] = "mlm";
    config["mask_token_id"] = 62;
    config["mlm_probability"] = 0.3;
    config["max_steps"] = 0;
    config["num_train_epochs"] = 2;
    return config;
  }
};

// Packs of a step and the batch that is computed agree on what is to be restored, every epoch hides
// anew, and what has no loss is never hidden.
TEST_F(MaskedData, BatchesRestoreWhatWasCounted) {
  std::vector<std::vector<std::int32_t>> texts;
  std::vector<std::vector<std::uint8_t>> loss;
  for (int e = 0; e < 20; ++e) {
    texts.emplace_back();
    loss.emplace_back();
    for (int i = 0; i < 50; ++i) {
      texts.back().push_back((e + i) % 60);
      loss.back().push_back(i < 10 ? 0 : 1);
    }
  }
  WriteTokens(folder_ / "train.safetensors", texts, loss);
  ASSERT_OK_AND_ASSIGN(const recipe::TrainConfig config, recipe::ParseTrainConfig(Config()));
  ASSERT_OK_AND_ASSIGN(const RunData data, RunData::Open(config, 64, {}));
  StepReader reader(data.train().corpus, config);
  std::array<std::set<std::pair<std::int64_t, std::int64_t>>, 2> hidden;  // example and place
  for (std::int64_t step = 0; step < data.total_steps(); ++step) {
    ASSERT_OK_AND_ASSIGN(const StepPlan plan, reader.Next());
    const Batch batch = data.MakeBatch(data.train(), plan.batches.front(), torch::kCPU);
    EXPECT_EQ(batch.counted, plan.predictions);
    std::vector<std::pair<std::int64_t, std::int64_t>> places;
    for (const Piece& piece : plan.batches.front().front()) {
      for (std::int64_t i = 0; i < piece.tokens; ++i)
        places.emplace_back(piece.example, piece.first + i);
    }
    std::set<std::int64_t> predicting;
    for (std::int64_t r = 0; r < batch.counted; ++r) {
      const auto token = batch.predicting[r].item<std::int64_t>();
      predicting.insert(token);
      const auto [example, at] = places[static_cast<std::size_t>(token)];
      EXPECT_GE(at, 10);
      EXPECT_EQ(batch.targets[r].item<std::int64_t>(), (example + at) % 60);
      hidden[static_cast<std::size_t>(plan.epoch)].emplace(example, at);
    }
    for (std::size_t t = 0; t < places.size(); ++t) {
      const auto token = static_cast<std::int64_t>(t);
      if (predicting.contains(token)) continue;
      EXPECT_EQ(batch.tokens[token].item<std::int64_t>(),
                (places[t].first + places[t].second) % 60);
    }
  }
  std::vector<std::pair<std::int64_t, std::int64_t>> both;
  std::ranges::set_intersection(hidden[0], hidden[1], std::back_inserter(both));
  // 800 tokens may be hidden: 240 in each epoch, 72 in both, within 6 standard deviations.
  EXPECT_NEAR(static_cast<double>(hidden[0].size()), 240, 6 * std::sqrt(800 * 0.3 * 0.7));
  EXPECT_NEAR(static_cast<double>(hidden[1].size()), 240, 6 * std::sqrt(800 * 0.3 * 0.7));
  EXPECT_NEAR(static_cast<double>(both.size()), 72, 6 * std::sqrt(800 * 0.09 * 0.91));
}

TEST_F(MaskedData, SaysWhatTheStageNeeds) {
  Json config = Config();
  config.erase("mask_token_id");
  EXPECT_ERROR(RunTraining(config), ErrorCode::kDataCorrupt,
               "mask_token_id: found none in stage mlm, expected the id of the token that hides");
  config["stage"] = "pretrain";
  config["mask_token_id"] = 3;
  EXPECT_ERROR(RunTraining(config), ErrorCode::kDataCorrupt,
               "mask_token_id: found in stage pretrain");
  config["stage"] = "mlm";
  EXPECT_ERROR(RunTraining(config), ErrorCode::kUnsupported,
               "found a decoder, stage mlm needs an encoder with a head");
  Json& spec = config["init"]["spec"];
  spec["model_type"] = "metier_expert_choice";
  spec["num_experts"] = 4;
  EXPECT_ERROR(RunTraining(config), ErrorCode::kUnsupported,
               "found an encoder without a head, stage mlm needs an encoder with a head");
  spec["architectures"] = {"MetierExpertsForMaskedLM"};
  config["mask_token_id"] = 64;
  EXPECT_ERROR(RunTraining(config), ErrorCode::kInvalidArgument,
               "mask_token_id: found 64, expected one of the model's 64 tokens");
  config["stage"] = "pretrain";
  config.erase("mask_token_id");
  EXPECT_ERROR(RunTraining(config), ErrorCode::kUnsupported,
               "found an encoder, stage pretrain needs a decoder");
}

// Encoders whose tokens choose, and whose experts do.
class MaskedRuns : public MaskedData, public ::testing::WithParamInterface<std::string> {
 protected:
  Json Run() {
    Json config = Config();
    config["max_steps"] = 12;
    config["per_device_train_batch_size"] = 2;
    Json& spec = config["init"]["spec"];
    spec["model_type"] = GetParam();
    spec["architectures"] = {"MetierExpertsForMaskedLM"};
    spec["is_causal"] = false;
    spec["num_experts"] = {4, 2};
    return config;
  }
};
INSTANTIATE_TEST_SUITE_P(Kinds, MaskedRuns,
                         ::testing::Values("metier_experts", "metier_expert_choice"),
                         [](const auto& kind) { return kind.param; });

TEST_P(MaskedRuns, StopsChangeNoBit) {
  Json config = Run();
  ASSERT_OK_AND_ASSIGN(const Json whole, RunTraining(config));
  const auto weights = [](const Json& reply) {
    return HashOf(reply.at("output").get<std::string>() + "/model.safetensors");
  };
  config["output_dir"] = folder_ / "parts";
  ASSERT_OK(RunTraining(config, StopAt(5)));
  ASSERT_OK_AND_ASSIGN(const Json rest, RunTraining(config));
  EXPECT_EQ(weights(rest), weights(whole));
  EXPECT_THAT(ReadAll(folder_ / "run/final/config.json"), HasSubstr("MetierExpertsForMaskedLM"));
}

// The sentences are a chain: a token says what stood before it and what follows.
TEST_P(MaskedRuns, LearnWhatIsHidden) {
  Json config = Run();
  config["max_steps"] = 600;
  config["learning_rate"] = 1e-2;
  config["eval_file"] = folder_ / "train.safetensors";
  ASSERT_OK_AND_ASSIGN(const Json reply, RunTraining(config));
  // ln 61 = 4.1 without learning anything: here a hidden token is five times as likely as that.
  EXPECT_LT(reply.at("eval_loss").get<double>(), std::log(61.0) - std::log(5.0));
  if (GetParam() == "metier_experts") return;
  // Every expert of a layer took as many tokens.
  const std::string log = ReadAll(folder_ / "run/trainer_log.jsonl");
  ASSERT_OK_AND_ASSIGN(const Json line, ParseJson(log.substr(0, log.find('\n')), {}));
  const Json& tokens = line.at("expert_tokens");
  ASSERT_EQ(tokens.size(), 2U);
  for (int e = 1; e < 4; ++e) EXPECT_EQ(tokens[0][e], tokens[0][0]);
  EXPECT_EQ(tokens[1][1], tokens[1][0]);
  EXPECT_EQ(tokens[1][2], 0);  // the layer has two
  EXPECT_GT(tokens[0][0].get<std::int64_t>(), 0);
}

}  // namespace
}  // namespace metier::train
