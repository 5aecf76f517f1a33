// Reinforcement (stage grpo): what the objective is, and runs that are answered by a program made
// for this test.
#include "train/policy.h"

#include <cmath>
#include <filesystem>
#include <limits>

#include "base/rng.h"
#include "format/safetensors.h"
#include "train/plugin.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

constexpr double kRounding = 1e-6;  // a few operations on numbers below 10, in float

RolloutGroup GroupOf(const std::vector<double>& rewards) {
  RolloutGroup group;
  for (const double reward : rewards) {
    Rollout rollout;
    rollout.reward = reward;
    rollout.tokens.assign(group.size() + 1, 3);
    rollout.reference.assign(group.size() + 1, -1.5);
    group.push_back(rollout);
  }
  return group;
}

TEST(Policy, AdvantagesAreWhatIsAboveTheMeanInDeviations) {
  const std::vector<double> scaled = Advantages(GroupOf({1, 0, 0, 1}), true);
  const double deviation = std::sqrt(4 * 0.25 / 3) + 1e-4;
  for (const std::size_t i : {0U, 3U}) EXPECT_NEAR(scaled[i], 0.5 / deviation, 1e-12);
  for (const std::size_t i : {1U, 2U}) EXPECT_NEAR(scaled[i], -0.5 / deviation, 1e-12);
  EXPECT_EQ(Advantages(GroupOf({2, 0}), false), (std::vector<double>{1, -1}));
  EXPECT_EQ(Advantages(GroupOf({1, 1, 1}), true), (std::vector<double>{0, 0, 0}));
}

// Two answers, of one and of two tokens, worth 1 and 0.
struct TwoAnswers {
  recipe::GrpoConfig config;
  RolloutGroup group = GroupOf({1, 0});
  std::vector<std::int32_t> prompt = {5, 6};
  PolicyCounts counts;

  PolicyBatch Make() {
    config.scale_rewards = false;
    config.max_completion_length = 4;
    return MakePolicyBatch(config, {{prompt, &group}}, 1, TestDevice(), counts);
  }
};

TEST(Policy, LossIsItsFormulaAndItsGradient) {
  for (const char* type : {"grpo", "dr_grpo"}) {
    TwoAnswers two;
    two.config.loss_type = type;
    two.config.beta = 0.3;
    const PolicyBatch policy = two.Make();
    EXPECT_EQ(policy.batch.counted, 3);
    // The filling's rows must not count, whatever they are.
    std::vector<double> values(static_cast<std::size_t>(policy.batch.predicting.size(0)), -300);
    values[0] = -1;
    values[1] = -2;
    values[2] = -0.5;
    at::Tensor log_probs = torch::tensor(values, at::kDouble).to(TestDevice()).requires_grad_(true);
    const at::Tensor loss = PolicyLoss(two.config, policy, log_probs, two.counts);
    loss.backward();
    const bool by_length = std::string(type) == "grpo";
    const double advantages[] = {0.5, -0.5, -0.5};
    const double lengths[] = {by_length ? 1.0 : 4.0, by_length ? 2.0 : 4.0, by_length ? 2.0 : 4.0};
    double expected = 0;
    double divergence = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double gradient = log_probs.grad()[static_cast<std::int64_t>(i)].item<double>();
      if (i > 2) {
        EXPECT_EQ(gradient, 0);
        continue;
      }
      const double u = std::exp(-1.5 - values[i]);
      const double k = u - std::log(u) - 1;
      divergence += k;
      expected -= 0.5 / lengths[i] * (advantages[i] - 0.3 * k);
      EXPECT_NEAR(gradient, -0.5 / lengths[i] * (advantages[i] - 0.3 * (1 - u)), kRounding);
    }
    EXPECT_NEAR(loss.item<double>(), expected, kRounding);
    EXPECT_NEAR(two.counts.divergence, divergence, kRounding);
    EXPECT_EQ(two.counts.predictions, 3);
    EXPECT_EQ(two.counts.answers, 2);
    EXPECT_EQ(two.counts.reward, 1);
    EXPECT_EQ(two.counts.tokens, 3);
    EXPECT_EQ(two.counts.silent, 0);
  }
}

// Answers of one token, drawn as the model draws them; even ones are worth 1.
class AnswersOfOneToken {
 public:
  explicit AnswersOfOneToken(std::string folder) : folder_(std::move(folder)) {}

  Ask ask() {
    return [this](const Json& question) { return Answer(question); };
  }
  const std::vector<Json>& questions() const { return questions_; }

 private:
  // ln p of the next token after each prompt.
  Result<std::vector<std::vector<double>>> LogProbs(const Json& question,
                                                    const std::string& adapter) {
    const std::string out = folder_ + "/next.safetensors";
    Json request = {{"model", question.at("model")},
                    {"tokens", question.at("prompts")},
                    {"out", out},
                    {"device", TestDeviceName()},
                    {"threads", 1}};
    if (!adapter.empty()) request["adapter"] = adapter;
    METIER_TRY(CallVerb("logits", request, {}));
    METIER_ASSIGN(const format::SafetensorsFile file, format::SafetensorsFile::Open(out));
    std::vector<std::vector<double>> all;
    for (std::size_t p = 0; p < question.at("prompts").size(); ++p) {
      const tensor::TensorView& view = *file.Find("logits." + std::to_string(p));
      const auto vocab = static_cast<std::size_t>(view.shape[1]);
      const auto* last = reinterpret_cast<const float*>(view.bytes.data()) +
                         static_cast<std::size_t>(view.shape[0] - 1) * vocab;
      double sum = 0;
      for (std::size_t i = 0; i < vocab; ++i) sum += std::exp(static_cast<double>(last[i]));
      all.emplace_back();
      for (std::size_t i = 0; i < vocab; ++i)
        all.back().push_back(static_cast<double>(last[i]) - std::log(sum));
    }
    return all;
  }

  Result<Json> Answer(const Json& question) {
    questions_.push_back(question);
    METIER_ASSIGN(const auto own, LogProbs(question, question.at("adapter")));
    std::vector<std::vector<double>> reference;
    if (question.contains("reference")) {
      METIER_ASSIGN(reference, LogProbs(question, question.at("reference")));
    }
    Json groups = Json::array();
    for (std::size_t p = 0; p < own.size(); ++p) {
      Json group = Json::array();
      for (std::uint64_t a = 0; a < question.at("answers").get<std::uint64_t>(); ++a) {
        Rng rng(question.at("seed").get<std::uint64_t>(),
                question.at("streams")[p].get<std::uint64_t>() + a);
        double left = rng.Uniform();
        std::size_t token = 0;
        while (token + 1 < own[p].size() && (left -= std::exp(own[p][token])) > 0) ++token;
        Json answer = {
            {"tokens", {token}}, {"ended", false}, {"reward", token % 2 == 0 ? 1.0 : 0.0}};
        if (!reference.empty()) answer["reference"] = {reference[p][token]};
        group.push_back(std::move(answer));
      }
      groups.push_back(std::move(group));
    }
    return Json{{"answers", std::move(groups)}};
  }

  std::string folder_;
  std::vector<Json> questions_;
};

class Reinforcement : public Trainer {
 protected:
  void SetUp() override {
    Trainer::SetUp();
    std::vector<std::vector<std::int32_t>> examples;
    std::vector<std::vector<std::uint8_t>> loss;
    for (std::int32_t e = 0; e < 12; ++e) {
      examples.push_back({e + 1, e + 20, 7, 63});
      loss.push_back({0, 0, 1, 1});
    }
    WriteTokens(folder_ / "prompts", examples, loss);
  }

  Json PolicyRun(const std::string& base, const std::string& out) {
    Json config = LoraRun(base, out);
    config["stage"] = "grpo";
    config["train_file"] = folder_ / "prompts";
    config["per_device_train_batch_size"] = 4;
    config["grpo"] = {
        {"rewards", {{{"kind", "exact"}}}}, {"num_generations", 8}, {"max_completion_length", 1}};
    config["general_file"] = "";
    return config;
  }

  std::vector<Json> Log(const std::string& out) {
    std::vector<Json> lines;
    std::istringstream text(ReadAll(folder_ / out + "/trainer_log.jsonl"));
    for (std::string line; std::getline(text, line);) lines.push_back(*ParseJson(line));
    return lines;
  }

  AnswersOfOneToken program_{folder_ / ""};
};

TEST_F(Reinforcement, AnswersThatAreWorthMoreBecomeLikelier) {
  Json config = PolicyRun(Base(), "run");
  config["max_steps"] = 60;
  config["learning_rate"] = 1e-2;
  config["logging_steps"] = 5;
  config["eval_file"] = folder_ / "prompts";
  ASSERT_OK_AND_ASSIGN(const Json reply, RunTraining(config, {}, program_.ask()));
  const std::vector<Json> log = Log("run");
  ASSERT_GE(log.size(), 13U);
  // Half of the tokens are even.
  EXPECT_LT(log.front().at("reward").get<double>(), 0.85);
  EXPECT_GT(log[11].at("reward").get<double>(), 0.95);
  EXPECT_GT(log[11].at("kl").get<double>(), log.front().at("kl").get<double>());
  EXPECT_EQ(log.front().at("completions/mean_length"), 1);
  EXPECT_EQ(log.front().at("completions/clipped_ratio"), 1);
  EXPECT_EQ(log.back().at("eval_reward"), 1);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run" + "/policy-0"));
  EXPECT_TRUE(std::filesystem::exists(reply.at("output").get<std::string>() +
                                      "/adapter_model.safetensors"));
}

TEST_F(Reinforcement, AStrongTieHoldsItBack) {
  const std::string base = Base();
  const auto divergence = [&](double beta) {
    const std::string out = "beta" + std::to_string(beta);
    Json config = PolicyRun(base, out);
    config["max_steps"] = 30;
    config["learning_rate"] = 1e-2;
    config["logging_steps"] = 30;
    config["grpo"]["beta"] = beta;
    EXPECT_OK(RunTraining(config, {}, program_.ask()));
    return Log(out).front().at("kl").get<double>();
  };
  EXPECT_LT(divergence(5), divergence(0.001) / 2);
}

TEST_F(Reinforcement, ResumesToTheSameBits) {
  Json config = PolicyRun(Base(), "whole");
  config["max_steps"] = 6;
  const auto weights = [](const Json& reply) {
    return HashOf(reply.at("output").get<std::string>() + "/adapter_model.safetensors");
  };
  ASSERT_OK_AND_ASSIGN(const Json whole, RunTraining(config, {}, program_.ask()));
  config["output_dir"] = folder_ / "parts";
  ASSERT_OK(RunTraining(config, StopAt(3), program_.ask()));
  ASSERT_OK_AND_ASSIGN(const Json rest, RunTraining(config, {}, program_.ask()));
  EXPECT_EQ(weights(rest), weights(whole));
}

// Accumulated batches are one step: the same prompts with the same random streams.
TEST_F(Reinforcement, AsksForAStepAtOnce) {
  const std::string base = Base();
  Json config = PolicyRun(base, "wide");
  config["max_steps"] = 3;
  config["learning_rate"] = 0;
  ASSERT_OK(RunTraining(config, {}, program_.ask()));
  config["output_dir"] = folder_ / "narrow";
  config["per_device_train_batch_size"] = 2;
  config["gradient_accumulation_steps"] = 2;
  ASSERT_OK(RunTraining(config, {}, program_.ask()));
  const std::vector<Json>& asked = program_.questions();
  ASSERT_EQ(asked.size(), 6U);
  for (std::size_t step = 0; step < 3; ++step) {
    for (const char* key : {"prompts", "truths", "streams", "seed"})
      EXPECT_EQ(asked[step].at(key), asked[step + 3].at(key)) << key;
  }
  EXPECT_NE(asked[0].at("seed"), asked[1].at("seed"));
  EXPECT_EQ(asked[0].at("end_token"), 63);
  EXPECT_EQ(asked[0].at("truths")[0], Json({7}));
  EXPECT_EQ(asked[0].at("reference"), "");
  EXPECT_EQ(Log("wide").front().at("reward"), Log("narrow").front().at("reward"));
}

TEST_F(Reinforcement, SaysWhatIsMissing) {
  Json config = PolicyRun(Base(), "run");
  EXPECT_ERROR(RunTraining(config), ErrorCode::kUnsupported, "use 'metier train'");
  const auto reply = [&](const Json& answer) {
    return RunTraining(config, {}, [answer](const Json&) -> Result<Json> { return answer; });
  };
  EXPECT_ERROR(reply({{"answers", Json::array()}}), ErrorCode::kDataCorrupt, "not 4 groups");
  Json group = Json::array();
  for (int i = 0; i < 8; ++i)
    group.push_back({{"tokens", {1}}, {"reward", 1}, {"reference", {-1.0}}});
  Json groups = {group, group, group, group};
  groups[1][2]["tokens"] = {64};
  EXPECT_ERROR(reply({{"answers", groups}}), ErrorCode::kDataCorrupt, "token 64, the model has 64");
  groups[1][2]["tokens"] = {1, 2};
  EXPECT_ERROR(reply({{"answers", groups}}), ErrorCode::kDataCorrupt,
               "1 ln p of a reference for 2 tokens");
  groups[1].erase(2);
  EXPECT_ERROR(reply({{"answers", groups}}), ErrorCode::kDataCorrupt, "a group that is not of 8");
  const auto refuse = [](const Json&) -> Result<Json> {
    return Error(ErrorCode::kResourceExhausted, "no memory for that");
  };
  EXPECT_ERROR(RunTraining(config, {}, refuse), ErrorCode::kResourceExhausted,
               "no memory for that");
}

TEST_F(Reinforcement, RefusesDataWithoutPrompts) {
  Json config = PolicyRun(Base(), "run");
  const auto error = [&](std::vector<std::vector<std::int32_t>> ids,
                         const std::vector<std::vector<std::uint8_t>>& loss) {
    WriteTokens(folder_ / "other", ids, loss);
    config["train_file"] = folder_ / "other";
    return RunTraining(config, {}, program_.ask());
  };
  EXPECT_ERROR(error({{1, 2, 63}}, {{1, 1, 1}}), ErrorCode::kInvalidArgument,
               "has no prompt and answer");
  EXPECT_ERROR(error({{1, 2, 63}, {1, 2, 62}}, {{0, 1, 1}, {0, 1, 1}}), ErrorCode::kInvalidArgument,
               "ends with token 62, another with 63");
  std::vector<std::int32_t> longer(40, 1);
  std::vector<std::uint8_t> last(40, 0);
  last.back() = 1;
  EXPECT_ERROR(error({longer}, {last}), ErrorCode::kInvalidArgument, "has 39 tokens");
}

TEST_F(Reinforcement, ConfigurationsThatContradict) {
  const Json config = PolicyRun("model", "run");
  const auto error = [&](const Json& patch) {
    Json changed = config;
    changed.merge_patch(patch);
    return recipe::ParseTrainConfig(changed);
  };
  EXPECT_OK(error(Json::object()));
  EXPECT_ERROR(error({{"lora", nullptr}}), ErrorCode::kDataCorrupt, "trains adapters");
  EXPECT_ERROR(error({{"grpo", nullptr}}), ErrorCode::kDataCorrupt, "found no rewards");
  EXPECT_ERROR(error({{"stage", "sft"}}), ErrorCode::kDataCorrupt, "found in stage sft");
  EXPECT_ERROR(error({{"quantization_bit", 4}}), ErrorCode::kDataCorrupt, "quantization_bit");
  EXPECT_ERROR(error({{"grpo", {{"max_completion_length", 32}}}}), ErrorCode::kDataCorrupt,
               "max_seq_len (32)");
  EXPECT_ERROR(error({{"grpo", {{"rewards", {{{"kind", "regex"}}}}}}}), ErrorCode::kDataCorrupt,
               "without a pattern");
  EXPECT_ERROR(error({{"grpo", {{"rewards", {{{"kind", "label"}, {"pattern", "a"}}}}}}}),
               ErrorCode::kDataCorrupt, "with a pattern");
}

}  // namespace
}  // namespace metier::train
