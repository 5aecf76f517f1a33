// Phrase banks: the grammar, its errors, and the partition of phrases between the splits.
#include "retail/phrasebook.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "retail/embedded.h"
#include "retail/synonyms.h"
#include "support/fixtures.h"

namespace metier::retail {
namespace {

TEST(PhraseBook, ExpandsChoicesSlotsAndSections) {
  PhraseBook book;
  ASSERT_OK(book.Add("a.txt", "# note\n[~who]\nBea\n[~hello]\n(Hi|Hello (my|dear)) <who>, {x}!\n"));
  ASSERT_OK(book.CheckReferences());
  std::set<std::string> seen;
  Rng rng(1);
  for (int i = 0; i < 200; ++i) {
    seen.insert(book.Pick("hello", Split::kTest, {{"x", "W1"}}, rng).Text());
  }
  EXPECT_EQ(seen,
            (std::set<std::string>{"Hi Bea, W1!", "Hello my Bea, W1!", "Hello dear Bea, W1!"}));
}

TEST(PhraseBook, MarksWhatCameFromSlots) {
  PhraseBook book;
  ASSERT_OK(book.Add("a.txt", "[~a]\nnumber {x}, please\n"));
  Rng rng(1);
  const Phrase phrase = book.Pick("a", Split::kTrain, {{"x", "W1"}}, rng);
  ASSERT_EQ(phrase.pieces.size(), 3u);
  EXPECT_FALSE(phrase.pieces[0].fixed);
  EXPECT_TRUE(phrase.pieces[1].fixed);
  EXPECT_EQ(phrase.pieces[1].text, "W1");
  EXPECT_EQ(phrase.id, "a#0");
}

TEST(PhraseBook, RefusesMalformedFilesWithFileAndLine) {
  const auto error = [](std::string_view text) {
    PhraseBook book;
    return book.Add("bad.txt", text);
  };
  EXPECT_ERROR(error("lost\n"), ErrorCode::kDataCorrupt, "bad.txt:1");
  EXPECT_ERROR(error("[~a]\nx\n[~a]\ny\n"), ErrorCode::kDataCorrupt, "second time");
  EXPECT_ERROR(error("[~a]\n(x|y\n"), ErrorCode::kDataCorrupt, "bad.txt:2: unbalanced");
  EXPECT_ERROR(error("[~a]\n{x\n"), ErrorCode::kDataCorrupt, "unbalanced");
  EXPECT_ERROR(error("[a]\n1\n2\n3\n4\n"), ErrorCode::kDataCorrupt, "at least 5");
  PhraseBook book;
  ASSERT_OK(book.Add("a.txt", "[~a]\n<nowhere>\n"));
  EXPECT_ERROR(book.CheckReferences(), ErrorCode::kDataCorrupt, "<nowhere>");
}

TEST(PhraseBook, EveryLineBelongsToOneSplitAndEverySplitHasOne) {
  const PhraseBook& book = PhraseBook::Ours();
  for (const std::string& section : book.SectionNames()) {
    std::map<std::string_view, int> owners;
    for (const Split split : {Split::kTrain, Split::kValid, Split::kTest}) {
      const auto lines = book.Lines(section, split);
      EXPECT_FALSE(lines.empty()) << section << " " << Name(split);
      for (const std::string_view line : lines) ++owners[line];
    }
    for (const auto& [line, count] : owners) {
      EXPECT_TRUE(count == 1 || count == 3) << section << ": " << line;  // 3: a shared section
    }
  }
}

TEST(PhraseBook, NoPhraseStandsTwiceInTheCustomersBanks) {
  std::set<std::string> seen;
  for (const EmbeddedFile& file : EmbeddedFiles()) {
    if (file.name.find("data/") != 0 || file.name == "data/catalogue.txt") continue;
    std::set<std::string> here;
    std::string section;
    std::string text(file.text);
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      const std::string line = text.substr(begin, end - begin);
      begin = end + 1;
      if (line.empty() || line[0] == '#') continue;
      if (line[0] == '[') {
        section = line;
        here.clear();
        continue;
      }
      if (section[1] != '~') {
        EXPECT_TRUE(here.insert(line).second) << section << ": " << line;
      }
    }
  }
}

// Not in another section either: reasons to cancel are often reasons to return.
TEST(PhraseBook, NoPhraseOfTheTestIsOneOfTraining) {
  const PhraseBook& book = PhraseBook::Ours();
  std::map<std::string, std::set<std::string>> sections;  // of each training phrase
  const auto customers = [](const std::string& section) {
    const std::string bank = section.substr(0, section.find('/'));
    static const std::set<std::string> banks = {
        "open", "info",   "search",  "say",   "cancel_reason", "return_reason",
        "wish", "option", "address", "topic", "mood"};
    return banks.count(bank) != 0;
  };
  std::size_t tested = 0;
  for (const Split split : {Split::kTrain, Split::kTest}) {
    for (const std::string& section : book.SectionNames()) {
      if (!customers(section)) continue;
      for (const std::string_view line : book.Lines(section, split)) {
        std::set<std::string>& owners = sections[std::string(line)];
        if (split == Split::kTrain) {
          owners.insert(section);
          continue;
        }
        EXPECT_TRUE(owners.empty()) << section << " and " << *owners.begin() << ": " << line;
        ++tested;
      }
    }
  }
  EXPECT_GT(tested, 300u);
}

std::string Swapped(std::string_view line, double rate, Rng& rng) {
  std::vector<Piece> pieces = {{std::string(line), false}};
  SwapSynonyms(rate, rng, pieces);
  return pieces[0].text;
}

TEST(Synonyms, ReplaceWordsAndKeepCapitalsAndSlots) {
  Rng rng(1);
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) seen.insert(Swapped("Parcel and swaps", 1.0, rng));
  EXPECT_EQ(seen,
            (std::set<std::string>{"Package and swaps", "Delivery and swaps", "Box and swaps"}));
  EXPECT_EQ(Swapped("Parcel", 0.0, rng), "Parcel");
  std::vector<Piece> pieces = {{"parcel", true}};
  SwapSynonyms(1.0, rng, pieces);
  EXPECT_EQ(pieces[0].text, "parcel");
}

// Those who learn in other words must not be told the test that way.
TEST(Synonyms, MakeNoPhraseOfTheTest) {
  const PhraseBook& book = PhraseBook::Ours();
  std::set<std::string> tested;
  for (const std::string& section : book.SectionNames()) {
    const auto train = book.Lines(section, Split::kTrain);
    const auto test = book.Lines(section, Split::kTest);
    if (train != test) tested.insert(test.begin(), test.end());
  }
  Rng rng(1);
  for (const std::string& section : book.SectionNames()) {
    const auto lines = book.Lines(section, Split::kTrain);
    if (lines == book.Lines(section, Split::kTest)) continue;
    for (const std::string_view line : lines) {
      for (int i = 0; i < 100; ++i) {
        const std::string other = Swapped(line, 0.5, rng);
        ASSERT_TRUE(other == line || tested.count(other) == 0) << section << ": " << other;
      }
    }
  }
}

}  // namespace
}  // namespace metier::retail
