#include "base/progress.h"

#include <unistd.h>

#include <cstdio>
#include <thread>

#include "support/fixtures.h"

namespace metier {
namespace {

using ::testing::HasSubstr;

TEST(FormatDuration, CountsInMinutesAndThenHours) {
  EXPECT_EQ(FormatDuration(0), "00:00");
  EXPECT_EQ(FormatDuration(97.9), "01:37");
  EXPECT_EQ(FormatDuration(3599), "59:59");
  EXPECT_EQ(FormatDuration(7389), "2:03:09");
  EXPECT_EQ(FormatDuration(-1), "00:00");
  EXPECT_EQ(FormatDuration(1e300), "277777:46:40");
}

TEST(FormatProgress, SaysHowFarAndHowLong) {
  const ProgressFacts facts = {
      .label = "sft", .note = "loss 1.234", .done = 420, .total = 1000, .seconds = 70};
  EXPECT_EQ(FormatProgress(facts), "sft  42% 420/1000 [01:10<01:36, 6.00/s] loss 1.234");
}

TEST(FormatProgress, SaysWhatItDoesNotKnow) {
  EXPECT_EQ(FormatProgress({.label = "x", .total = 10}), "x   0% 0/10 [00:00<?, ?/s]");
  EXPECT_EQ(FormatProgress({.label = "x"}), "x 100% 0/0 [00:00<00:00, ?/s]");
}

TEST(FormatProgress, ResumedWorkIsNotCountedIntoTheRate) {
  const ProgressFacts facts = {.label = "x", .done = 60, .total = 100, .first = 50, .seconds = 10};
  EXPECT_EQ(FormatProgress(facts), "x  60% 60/100 [00:10<00:40, 1.00/s]");
}

TEST(FormatProgress, OnlyTheWholeIsAHundredPercent) {
  EXPECT_THAT(FormatProgress({.label = "x", .done = 9999, .total = 10000}), HasSubstr(" 99%"));
}

TEST(FormatProgressBar, FitsTheTerminal) {
  const ProgressFacts facts = {
      .label = "sft", .note = "loss 1.234", .done = 50, .total = 100, .seconds = 50};
  EXPECT_EQ(FormatProgressBar(facts, 200),
            "sft  50%|############            | 50/100 [00:50<00:50, 1.00/s] loss 1.234");
  EXPECT_EQ(FormatProgressBar(facts, 60),
            "sft  50%|#####     | 50/100 [00:50<00:50, 1.00/s] loss 1.234");
  EXPECT_EQ(FormatProgressBar(facts, 54), "sft  50% 50/100 [00:50<00:50, 1.00/s] loss 1.234");
  EXPECT_EQ(FormatProgressBar(facts, 12), "sft  50% 50/");
  EXPECT_EQ(FormatProgressBar({.label = "éé", .total = 1}, 2), "éé");
}

// What a Progress writes when stderr is a pipe or a file.
std::string Written(const std::function<void()>& work) {
  ::testing::internal::CaptureStderr();
  work();
  return ::testing::internal::GetCapturedStderr();
}

TEST(Progress, WritesPlainLinesIntoAFile) {
  const std::string text = Written([] {
    Progress progress("data", 4);
    for (std::uint64_t i = 1; i <= 4; ++i) progress.Update(i, "rows");
  });
  EXPECT_THAT(text, ::testing::MatchesRegex("data  25% 1/4 .* rows\ndata 100% 4/4 .* rows\n"));
}

TEST(Progress, SaysNothingTwice) {
  const std::string text = Written([] {
    Progress progress("data", 1);
    progress.Update(1);
  });
  EXPECT_THAT(text, ::testing::MatchesRegex("data 100% 1/1 [^\n]*\n"));
  EXPECT_EQ(Written([] { const Progress unused("data", 1); }), "");
}

}  // namespace
}  // namespace metier
