#include "evaluate/held_out_loss.h"

#include "format/token_file.h"
#include "support/fixtures.h"
#include "unit/evaluate/letters.h"

namespace metier::evaluate {
namespace {

using text::TokenId;

class HeldOutLoss : public ::testing::Test {
 protected:
  void Add(const std::vector<TokenId>& ids, const std::vector<std::uint8_t>& loss) {
    examples_.push_back({ids, loss});
  }
  HeldOutLossOptions Options() {
    HeldOutLossOptions options;
    options.file = folder_ / "held.safetensors";
    auto writer = format::TokenFileWriter::Create(options.file);
    EXPECT_OK(writer);
    for (const auto& [ids, loss] : examples_) EXPECT_OK(writer->Add(ids, loss));
    EXPECT_OK(writer->Finish({}));
    return options;
  }
  test::TempFolder folder_;
  std::vector<std::pair<std::vector<TokenId>, std::vector<std::uint8_t>>> examples_;
  PositionalModel model_{8};
};

TEST_F(HeldOutLoss, IsTheMeanOverTheLearntTokens) {
  const std::vector<TokenId> answer = {3, 1, 4, 1, 5, 9};
  const std::vector<TokenId> text = {2, 7, 1};
  Add(answer, {0, 0, 1, 1, 0, 1});
  Add(text, {1, 1, 1});  // its first token has no prediction
  Add({6, 2}, {0, 0});   // nothing is learnt
  double nll = 0;
  for (const std::size_t i : {2, 3, 5}) nll -= PositionalModel::LogProb(answer, i);
  for (const std::size_t i : {1, 2}) nll -= PositionalModel::LogProb(text, i);
  ASSERT_OK_AND_ASSIGN(const HeldOutLossResult result, MeasureHeldOutLoss(model_, Options()));
  EXPECT_EQ(result.scored_tokens, 5);
  EXPECT_EQ(result.examples, 3);
  EXPECT_NEAR(result.nll, nll, 1e-12);
  EXPECT_NEAR(result.ToJson()["loss"].get<double>(), nll / 5, 1e-12);
  EXPECT_NEAR(result.ToJson()["perplexity"].get<double>(), std::exp(nll / 5), 1e-12);
}

TEST_F(HeldOutLoss, StopsAfterAsManyExamplesAsItIsTold) {
  Add({1, 2, 3}, {0, 1, 1});
  Add({1, 2, 3}, {0, 1, 1});
  HeldOutLossOptions options = Options();
  options.max_examples = 1;
  ASSERT_OK_AND_ASSIGN(const HeldOutLossResult result, MeasureHeldOutLoss(model_, options));
  EXPECT_EQ(result.scored_tokens, 2);
}

TEST_F(HeldOutLoss, RefusesWhatItCannotScore) {
  Add({1, 2, 3}, {0, 0, 0});
  EXPECT_ERROR(MeasureHeldOutLoss(model_, Options()), ErrorCode::kInvalidArgument,
               "no token that is learnt");
  Add(std::vector<TokenId>(9, 1), std::vector<std::uint8_t>(9, 1));
  EXPECT_ERROR(MeasureHeldOutLoss(model_, Options()), ErrorCode::kInvalidArgument,
               "example 1 has 9 tokens, the model takes 8; build the file with --max-tokens 8");
}

}  // namespace
}  // namespace metier::evaluate
