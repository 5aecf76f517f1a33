// The loss on what a model should still be able to read, before and after a run; and evaluations
// before the first step.
#include <filesystem>
#include <vector>

#include "unit/train/training.h"

namespace metier::train {
namespace {

class GeneralLosses : public Trainer {
 protected:
  void SetUp() override {
    Trainer::SetUp();
    WriteTokens(folder_ / "general", {{1, 2, 3, 4, 5}, {9, 8, 7, 6}}, {});
  }
  Json Config(const std::string& out) {
    Json config = TinyRun(folder_, out);
    config["general_file"] = folder_ / "general";
    return config;
  }
  static Json Manifest(const Json& reply) {
    const Result<Json> manifest =
        ParseJson(ReadAll(reply.at("output").get<std::string>() + "/manifest.json"), {});
    EXPECT_OK(manifest);
    return *manifest;
  }
  static std::string Weights(const Json& reply) {
    return HashOf(reply.at("output").get<std::string>() + "/model.safetensors");
  }
};

TEST_F(GeneralLosses, AreThoseOfAnEvaluationOnTheSameFile) {
  Json config = Config("run");
  config["eval_file"] = folder_ / "general";
  config["eval_on_start"] = true;
  ASSERT_OK_AND_ASSIGN(const Json reply, RunTraining(config));
  ASSERT_OK_AND_ASSIGN(const std::vector<Json> lines, [&]() -> Result<std::vector<Json>> {
    std::vector<Json> all;
    const std::string log = ReadAll(folder_ / "run/trainer_log.jsonl");
    for (std::size_t at = 0; at < log.size(); at = log.find('\n', at) + 1) {
      METIER_ASSIGN(Json line, ParseJson(log.substr(at, log.find('\n', at) - at), {}));
      all.push_back(std::move(line));
    }
    return all;
  }());
  std::vector<double> general;
  std::vector<double> evaluated;
  for (const Json& line : lines) {
    if (line.contains("general_loss")) general.push_back(line.at("general_loss"));
    if (line.contains("eval_loss")) evaluated.push_back(line.at("eval_loss"));
  }
  ASSERT_EQ(general.size(), 2U);
  EXPECT_EQ(general, evaluated);
  EXPECT_NE(general[0], general[1]);
  EXPECT_EQ(reply.at("general_loss_before"), general[0]);
  EXPECT_EQ(Manifest(reply).at("general_loss"),
            (Json{{"before", general[0]}, {"after", general[1]}}));
}

TEST_F(GeneralLosses, ChangeNothingAndSurviveAStop) {
  Json plain = TinyRun(folder_, "plain");
  ASSERT_OK_AND_ASSIGN(const Json without, RunTraining(plain));
  EXPECT_FALSE(without.contains("general_loss_before"));
  EXPECT_FALSE(Manifest(without).contains("general_loss"));
  ASSERT_OK_AND_ASSIGN(const Json whole, RunTraining(Config("whole")));
  EXPECT_EQ(Weights(whole), Weights(without));
  Json config = Config("parts");
  ASSERT_OK(RunTraining(config, StopAt(5)));
  // Where the file lies does not make it another run.
  std::filesystem::rename(folder_ / "general", folder_ / "moved");
  config["general_file"] = folder_ / "moved";
  ASSERT_OK_AND_ASSIGN(const Json rest, RunTraining(config));
  EXPECT_EQ(Manifest(rest).at("general_loss"), Manifest(whole).at("general_loss"));
}

TEST_F(GeneralLosses, AreOfTextsWhereAnswersAreCompared) {
  Json config = Config("run");
  config.erase("init");
  config["model"] = Base();
  config["stage"] = "dpo";
  const std::string path = folder_ / "pairs";
  ASSERT_OK_AND_ASSIGN(format::TokenFileWriter writer, format::TokenFileWriter::Create(path));
  for (int i = 0; i < 8; ++i) {
    ASSERT_OK(writer.Add(std::vector<std::int32_t>{i, 3, 4}, std::vector<std::uint8_t>{0, 0, 1},
                         format::Judgement::kGood));
    ASSERT_OK(writer.Add(std::vector<std::int32_t>{i, 3, 5}, std::vector<std::uint8_t>{0, 0, 1},
                         format::Judgement::kBad));
  }
  ASSERT_OK(writer.Finish({{format::kPairsKey, "true"}}));
  config["train_file"] = path;
  ASSERT_OK_AND_ASSIGN(const Json reply, RunTraining(config));
  Json read = LoraRun(config["model"], "read");  // what does not learn has the same loss
  read["general_file"] = folder_ / "general";
  read["learning_rate"] = 0;
  ASSERT_OK_AND_ASSIGN(const Json same, RunTraining(read));
  EXPECT_EQ(reply.at("general_loss_before"), same.at("general_loss_before"));
  EXPECT_EQ(same.at("general_loss_after"), same.at("general_loss_before"));
  EXPECT_NE(reply.at("general_loss_after"), reply.at("general_loss_before"));
}

TEST_F(GeneralLosses, AnEvaluationOnStartNeedsAFile) {
  Json config = TinyRun(folder_, "run");
  config["eval_on_start"] = true;
  EXPECT_ERROR(RunTraining(config), ErrorCode::kDataCorrupt,
               "eval_on_start: found without 'eval_file'");
}

}  // namespace
}  // namespace metier::train
