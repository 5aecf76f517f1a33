// What a chain of training stages forgot, and the texts of general ability.
#include "specialist/forgetting.h"

#include <filesystem>

#include "format/token_file.h"
#include "specialist/general_texts.h"
#include "specialist/report.h"
#include "support/fixtures.h"
#include "text/bpe_trainer.h"

namespace metier::specialist {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Line(int step, double law, double care) {
  return DumpCompact({{"current_steps", step},
                      {"eval_loss", (law + care) / 2},
                      {"eval_loss_law", law},
                      {"eval_loss_care", care}}) +
         "\n";
}

class Forgetting : public ::testing::Test {
 protected:
  // A training stage that starts from `model` and whose log is this.
  StageRecord Stage(const std::string& name, const std::string& model, const std::string& log) {
    StageRecord stage;
    stage.name = name;
    stage.kind = "train";
    stage.folder = folder_ / name;
    std::filesystem::create_directories(stage.folder);
    test::WriteAll(stage.folder + "/trainer_log.jsonl", log);
    stage.config = {
        {"model", model},
        {"eval_files", {{{"name", "law"}, {"file", "l"}}, {{"name", "care"}, {"file", "c"}}}}};
    return stage;
  }

  test::TempFolder folder_;
};

TEST_F(Forgetting, IsToldOfAChainOfStages) {
  const std::string loss = "{\"current_steps\":1,\"loss\":1.5}\n";
  const std::vector<StageRecord> stages = {
      Stage("one", "/base", Line(0, 5, 6) + loss + Line(4, 3, 5.5) + Line(8, 2, 5)),
      Stage("apart", "/base", Line(8, 1, 1)),
      Stage("two", folder_ / "one/final", Line(8, 2.5, 3)),
      Stage("three", folder_ / "two/final", "half a li\n" + Line(8, 4, 3.5)),
  };
  const std::vector<ForgettingMatrix> matrices = ForgettingMatrices(stages);
  ASSERT_EQ(matrices.size(), 1U);
  const ForgettingMatrix& matrix = matrices.front();
  EXPECT_THAT(matrix.stages, ElementsAre("one", "two", "three"));
  EXPECT_THAT(matrix.domains, ElementsAre("law", "care"));
  EXPECT_THAT(matrix.before, ElementsAre(5, 6));
  EXPECT_THAT(matrix.after,
              ElementsAre(ElementsAre(2, 5), ElementsAre(2.5, 3), ElementsAre(4, 3.5)));
  EXPECT_DOUBLE_EQ(matrix.MeanForgetting(), ((4 - 2) + (3.5 - 3)) / 2.0);
  const std::string html = ReportHtml({}, stages);
  EXPECT_THAT(html, HasSubstr("is now 1.2500 above the least"));
  EXPECT_THAT(html, HasSubstr("<td>(before)</td><td class=\"figure\">5.0000</td>"));
}

TEST_F(Forgetting, NeedsAChainOfTheSameDomains) {
  StageRecord other = Stage("other", folder_ / "one/final", Line(8, 2, 2));
  other.config["eval_files"][0]["name"] = "shop";
  const std::vector<StageRecord> stages = {Stage("one", "/base", Line(8, 2, 5)), other,
                                           Stage("silent", folder_ / "one/final", "")};
  EXPECT_TRUE(ForgettingMatrices(stages).empty());
  EXPECT_THAT(ReportHtml({}, stages), Not(HasSubstr("Forgetting")));
}

class GeneralTexts : public ::testing::Test {
 protected:
  void SetUp() override {
    text::BpeTrainerOptions options;
    options.vocab_size = 300;
    options.threads = 1;
    ASSERT_OK_AND_ASSIGN(text::BpeTrainer trainer, text::BpeTrainer::Create(options));
    ASSERT_OK(trainer.AddText("Water boils. Paris is the capital of France."));
    ASSERT_OK_AND_ASSIGN(const text::TrainedBpe trained, std::move(trainer).Train());
    std::filesystem::create_directories(folder_ / "model");
    ASSERT_OK(trained.Save(folder_ / "model"));
    config_.model = folder_ / "model";
    config_.output_dir = folder_ / "out";
  }

  test::TempFolder folder_;
  recipe::TrainConfig config_;
};

TEST_F(GeneralTexts, BecomeTokensOfTheModel) {
  ASSERT_OK(FillGeneralFile(config_));
  EXPECT_EQ(config_.general_file, folder_ / "out/general.safetensors");
  ASSERT_OK_AND_ASSIGN(const auto file, format::TokenFile::Open(config_.general_file));
  EXPECT_GE(file.examples(), 10);
  EXPECT_GT(file.tokens(), 1500);
}

TEST_F(GeneralTexts, StayOutWhereTheyAreNotWanted) {
  const auto untouched = [&](const recipe::TrainConfig& config) {
    recipe::TrainConfig filled = config;
    EXPECT_OK(FillGeneralFile(filled));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
    return filled.general_file;
  };
  recipe::TrainConfig config = config_;
  config.general_file = "none";
  EXPECT_EQ(untouched(config), "");
  config.general_file = "mine.safetensors";
  EXPECT_EQ(untouched(config), "mine.safetensors");
  config = config_;
  config.model = folder_ / "without";
  EXPECT_EQ(untouched(config), "");
  config.model.clear();
  EXPECT_EQ(untouched(config), "");
  config = config_;
  config.stage = "mlm";
  EXPECT_EQ(untouched(config), "");
}

}  // namespace
}  // namespace metier::specialist
