#include "base/progress.h"

#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "support/fixtures.h"

namespace metier {
namespace {

using ::testing::ElementsAre;
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
  const ProgressFacts facts = {.label = "sft",
                               .note = "loss 1.234",
                               .done = 420,
                               .total = 1000,
                               .seconds = 70,
                               .measured = 70};
  EXPECT_EQ(FormatProgress(facts), "sft  42% 420/1000 [01:10<01:36, 6.00/s] loss 1.234");
}

TEST(FormatProgress, SaysWhatItDoesNotKnow) {
  EXPECT_EQ(FormatProgress({.label = "x", .total = 10}), "x   0% 0/10 [00:00<--:--, ?/s]");
  EXPECT_EQ(FormatProgress({.label = "x"}), "x 100% 0/0 [00:00<00:00, ?/s]");
}

TEST(FormatProgress, OnlyMeasuredWorkIsCountedIntoTheRate) {
  const ProgressFacts facts = {
      .label = "x", .done = 60, .total = 100, .first = 50, .seconds = 25, .measured = 10};
  EXPECT_EQ(FormatProgress(facts), "x  60% 60/100 [00:25<00:40, 1.00/s]");
}

TEST(FormatProgress, OnlyTheWholeIsAHundredPercent) {
  EXPECT_THAT(FormatProgress({.label = "x", .done = 9999, .total = 10000}), HasSubstr(" 99%"));
}

TEST(FormatProgressBar, FitsTheTerminal) {
  const ProgressFacts facts = {.label = "sft",
                               .note = "loss 1.234",
                               .done = 50,
                               .total = 100,
                               .seconds = 50,
                               .measured = 50};
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

std::vector<std::string> LinesOf(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST(Progress, WritesPlainLinesIntoAFile) {
  double now = 7;
  const std::string text = Written([&now] {
    Progress progress("data", 4, [&now] { return now; });
    for (std::uint64_t i = 1; i <= 4; ++i) {
      now += 2;
      progress.Update(i, "rows");
    }
  });
  EXPECT_THAT(LinesOf(text), ElementsAre("data  25% 1/4 [00:02<--:--, ?/s] rows",
                                         "data 100% 4/4 [00:08<00:00, 0.50/s] rows"));
}

// A run tells of its first step when it is done: no time has passed since, so no speed is known.
TEST(Progress, KnowsNoSpeedBeforeTheSecondUpdate) {
  double now = 100;
  const std::string text = Written([&now] {
    Progress progress("pretrain", 2027, [&now] { return now; });
    now += 1e-5;
    progress.Update(1, "loss 9.1");
    now += 20;
    progress.Update(11, "loss 8.0");
  });
  EXPECT_THAT(LinesOf(text), ElementsAre("pretrain   0% 1/2027 [00:00<--:--, ?/s] loss 9.1",
                                         "pretrain   0% 11/2027 [00:20<1:07:12, 0.50/s] loss 8.0"));
}

TEST(Progress, WhatAnEarlierProcessDidIsNoSpeed) {
  double now = 0;
  const std::string text = Written([&now] {
    Progress progress("sft", 1000, [&now] { return now; });
    now += 5;
    progress.Update(900);
    now += 10;
    progress.Update(910);
  });
  EXPECT_THAT(LinesOf(text), ElementsAre("sft  90% 900/1000 [00:05<--:--, ?/s]",
                                         "sft  91% 910/1000 [00:15<01:30, 1.00/s]"));
}

// An hour of one step a second: the first line, one every 10 s for 2 minutes, then one a minute,
// and the last.
TEST(Progress, PlainLinesBecomeRarer) {
  double now = 0;
  const std::string text = Written([&] {
    Progress progress("sft", 3600, [&now] { return now; });
    for (std::uint64_t i = 1; i <= 3600; ++i) {
      now += 1;
      progress.Update(i, std::to_string(i));
    }
  });
  std::vector<int> seconds;
  for (const std::string& line : LinesOf(text)) {
    seconds.push_back(std::stoi(line.substr(line.rfind(' '))));
  }
  std::vector<int> expected;
  for (int at = 1; at < 121; at += 10) expected.push_back(at);
  for (int at = 171; at < 3600; at += 60) expected.push_back(at);
  expected.push_back(3600);
  EXPECT_EQ(seconds, expected);
}

TEST(Progress, SaysNothingTwice) {
  const std::string text = Written([] {
    Progress progress("data", 1);
    progress.Update(1);
  });
  EXPECT_THAT(text, ::testing::MatchesRegex("data 100% 1/1 [^\n]*\n"));
  EXPECT_EQ(Written([] { const Progress unused("data", 1); }), "");
}

TEST(Progress, RoundsLargeCounts) {
  const auto shown = [](std::uint64_t done, std::uint64_t total) {
    return FormatProgress({.label = "x", .done = done, .total = total});
  };
  EXPECT_THAT(shown(0, 99'999), HasSubstr(" 0/99999 "));
  EXPECT_THAT(shown(99'999, 100'000), HasSubstr(" 99999/100k "));
  EXPECT_THAT(shown(999'499, 999'500), HasSubstr(" 999k/1.00M "));
  EXPECT_THAT(shown(1'254'999, 12'549'999), HasSubstr(" 1.25M/12.5M "));
  EXPECT_THAT(shown(9'994'999, 9'995'000), HasSubstr(" 9.99M/10.0M "));
  EXPECT_THAT(shown(3'000'000'000, 4'567'000'000'000), HasSubstr(" 3.00G/4.57T "));
  EXPECT_THAT(FormatProgress({.label = "x", .done = 1'000'000, .total = 2'000'000, .measured = 2}),
              HasSubstr(" 500k/s"));
}

TEST(OnProgress, IsShownAndMayEndTheWork) {
  EXPECT_OK(Report({}, 1, 2));  // nobody listens
  bool go_on = true;
  const std::string text = Written([&] {
    const OnProgress shown = ShowProgress("rows", [&]() -> Status {
      if (!go_on) return Error(ErrorCode::kIo, "enough");
      return Ok();
    });
    EXPECT_OK(Report(shown, 1, 4, "good"));
    go_on = false;
    EXPECT_ERROR(Report(shown, 2, 4), ErrorCode::kIo, "enough");
  });
  EXPECT_THAT(text, HasSubstr("rows  25% 1/4 [00:00<--:--, ?/s] good\n"));
  EXPECT_THAT(text, HasSubstr("rows  50% 2/4 "));
}

}  // namespace
}  // namespace metier
