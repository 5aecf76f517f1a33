#include <string>
#include <vector>

#include "base/limits.h"
#include "base/nearest.h"
#include "base/utf8.h"
#include "support/fixtures.h"

namespace metier {
namespace {

TEST(NearestName, FindsTypingMistakes) {
  const std::vector<std::string> known = {"learning_rate", "batch_size", "warmup_steps", "seed"};
  EXPECT_EQ(NearestName("learning_rat", known), "learning_rate");
  EXPECT_EQ(NearestName("learnign_rate", known), "learning_rate");  // neighbours swapped
  EXPECT_EQ(NearestName("warm_up_steps", known), "warmup_steps");
  EXPECT_EQ(NearestName("sead", known), "seed");
  EXPECT_EQ(NearestName("sd", known), "");  // two edits, the length allows one
  EXPECT_EQ(NearestName("optimizer", known), "");
  EXPECT_EQ(NearestName("", known), "");
  EXPECT_EQ(NearestName("seed", {}), "");
}

TEST(NearestName, TiesGoToTheEarlier) {
  EXPECT_EQ(NearestName("bar", std::vector<std::string>{"car", "far"}), "car");
  EXPECT_EQ(NearestName("bar", std::vector<std::string>{"car", "bar"}), "bar");
}

TEST(NearestName, DoesNotCompareWhatIsNoName) {
  const std::string huge(1'000'000, 'x');
  EXPECT_EQ(NearestName(huge, std::vector<std::string>{huge}), "");
}

TEST(FirstInvalidUtf8, AcceptsEveryCharacterAndNothingElse) {
  for (const std::string_view text : {"", "plain", "\x7f", "é", "€", "😀", "\xed\x9f\xbf",
                                      "\xee\x80\x80", "\xf4\x8f\xbf\xbf", "\xef\xbf\xbf"}) {
    EXPECT_EQ(FirstInvalidUtf8(text), std::nullopt) << text;
  }
  for (const std::string_view text :
       {"ab\x80", "ab\xff", "ab\xc3", "ab\xc0\x80", "ab\xc1\xbf", "ab\xe0\x9f\xbf", "ab\xe2\x82",
        "ab\xed\xa0\x80", "ab\xed\xbf\xbf", "ab\xf0\x8f\xbf\xbf", "ab\xf0\x9f\x98",
        "ab\xf4\x90\x80\x80", "ab\xf5\x80\x80\x80", "ab\xc3(", "ab\xe2(\xa1", "ab\xf0\x9f(\x80"}) {
    EXPECT_EQ(FirstInvalidUtf8(text), 2U) << text;
  }
}

TEST(Excerpt, IsFitForAMessage) {
  EXPECT_EQ(Excerpt("short"), "short");
  EXPECT_EQ(Excerpt("abcdef", 3), "abc...");
  EXPECT_EQ(Excerpt("aé", 3), "aé");
  EXPECT_EQ(Excerpt("aéb", 2), "a...");  // no half characters
  EXPECT_EQ(Excerpt("a\nb\x1b[0m\x7f\xff"), "a\\x0ab\\x1b[0m\\x7f\\xff");
}

TEST(Limits, CheckedArithmeticTellsWhatDoesNotFit) {
  EXPECT_EQ(CheckedMul(1ULL << 32, (1ULL << 32) - 1), 0xffffffff00000000ULL);
  EXPECT_EQ(CheckedMul(1ULL << 32, 1ULL << 32), std::nullopt);
  EXPECT_EQ(CheckedMul(0, UINT64_MAX), 0U);
  EXPECT_EQ(CheckedAdd(UINT64_MAX, 0), UINT64_MAX);
  EXPECT_EQ(CheckedAdd(UINT64_MAX, 1), std::nullopt);
}

}  // namespace
}  // namespace metier
