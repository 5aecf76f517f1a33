// What answers are worth.
#include "evaluate/rewards.h"

#include "support/fixtures.h"

namespace metier::evaluate {
namespace {

double Worth(const std::string& kind, std::string_view answer, std::string_view truth,
             const std::string& pattern = "") {
  const Result<Rewards> rewards = Rewards::Create({{.kind = kind, .pattern = pattern}});
  EXPECT_OK(rewards);
  return rewards.ok() ? rewards->Of(answer, truth) : -1;
}

TEST(RewardKinds, ExactForgivesSpaceAround) {
  EXPECT_EQ(Worth("exact", " yes\n", "yes"), 1);
  EXPECT_EQ(Worth("exact", "yes.", "yes"), 0);
  EXPECT_EQ(Worth("exact", "", ""), 1);
}

TEST(RewardKinds, ALabelIsAWholeWordInAnyCase) {
  EXPECT_EQ(Worth("label", "Positive, because it rose", " positive"), 1);
  EXPECT_EQ(Worth("label", "\n positive", "positive"), 1);
  EXPECT_EQ(Worth("label", "positively", "positive"), 0);
  EXPECT_EQ(Worth("label", "positive\xc3\xa9", "positive"), 0);
  EXPECT_EQ(Worth("label", "not positive", "positive"), 0);
  EXPECT_EQ(Worth("label", "very positive", "very positive"), 1);
  EXPECT_EQ(Worth("label", "", "positive"), 0);
  EXPECT_EQ(Worth("label", "anything", ""), 0);
}

TEST(RewardKinds, NumbersAreTheLastOnes) {
  EXPECT_EQ(Worth("number", "3 + 4 = 7", "#### 7"), 1);
  EXPECT_EQ(Worth("number", "It costs $1,234.50.", "1234.5"), 1);
  EXPECT_EQ(Worth("number", "7 or 8", "7"), 0);
  EXPECT_EQ(Worth("number", "none", "7"), 0);
  EXPECT_EQ(Worth("number", "none", "none"), 0);
  EXPECT_EQ(Worth("number", "-5", "5"), 0);
  EXPECT_EQ(Worth("number", "it is -5", "-5"), 1);
  EXPECT_EQ(Worth("number", "10-5", "5"), 1);
}

TEST(RewardKinds, LastNumbers) {
  EXPECT_EQ(LastNumber("1,000,000"), 1e6);
  EXPECT_EQ(LastNumber("a 2.5"), 2.5);
  EXPECT_EQ(LastNumber("a .5"), 5);  // a full stop before a digit is no part of it
  EXPECT_EQ(LastNumber(""), std::nullopt);
  EXPECT_EQ(LastNumber("version 1.2.3"), std::nullopt);
}

TEST(RewardKinds, PatternsAreFoundAnywhere) {
  EXPECT_EQ(Worth("regex", "the answer is <b>7</b>.", "", "<b>\\d+</b>"), 1);
  EXPECT_EQ(Worth("regex", "the answer is 7", "", "<b>\\d+</b>"), 0);
  EXPECT_ERROR(Rewards::Create({{.kind = "regex", .pattern = "("}}), ErrorCode::kDataCorrupt,
               "reward pattern '('");
}

TEST(RewardKinds, WeightsAddUp) {
  ASSERT_OK_AND_ASSIGN(const Rewards rewards,
                       Rewards::Create({{.kind = "number", .pattern = "", .weight = 2},
                                        {.kind = "regex", .pattern = "sorry", .weight = -0.5}}));
  EXPECT_EQ(rewards.Of("sorry, 7", "7"), 1.5);
  EXPECT_EQ(rewards.Of("7", "7"), 2);
  EXPECT_EQ(rewards.Of("sorry", "7"), -0.5);
}

}  // namespace
}  // namespace metier::evaluate
