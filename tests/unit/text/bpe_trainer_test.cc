#include "text/bpe_trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "support/fixtures.h"
#include "text/tokenizer.h"
#include "text/trainer/merge_learner.h"

namespace metier::text {
namespace {

using Words = std::vector<WordCounter::Word>;

// The definition, without any bookkeeping: count all pairs anew for each merge.
std::vector<std::pair<std::uint32_t, std::uint32_t>> NaiveMerges(const Words& words, int merges,
                                                                 std::int64_t min_frequency) {
  std::vector<std::vector<std::uint32_t>> symbols;
  for (const auto& word : words) {
    symbols.emplace_back();
    for (const char byte : word.bytes) symbols.back().push_back(static_cast<unsigned char>(byte));
  }
  std::vector<std::pair<std::uint32_t, std::uint32_t>> learned;
  while (static_cast<int>(learned.size()) < merges) {
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::int64_t> counts;
    for (std::size_t w = 0; w < words.size(); ++w) {
      for (std::size_t i = 0; i + 1 < symbols[w].size(); ++i) {
        counts[{symbols[w][i], symbols[w][i + 1]}] += words[w].count;
      }
    }
    const auto best = std::max_element(
        counts.begin(), counts.end(),
        [](const auto& a, const auto& b) { return a.second < b.second; });  // first of equals
    if (best == counts.end() || best->second < min_frequency) break;
    for (auto& word : symbols) {
      std::vector<std::uint32_t> joined;
      for (std::size_t i = 0; i < word.size(); ++i) {
        const bool here = i + 1 < word.size() && word[i] == best->first.first &&
                          word[i + 1] == best->first.second;
        joined.push_back(here ? static_cast<std::uint32_t>(256 + learned.size()) : word[i]);
        if (here) ++i;
      }
      word = joined;
    }
    learned.push_back(best->first);
  }
  return learned;
}

TEST(MergeLearner, GivesTheMergesOfTheDefinition) {
  Rng rng(7);
  for (int round = 0; round < 40; ++round) {
    std::map<std::string, std::int64_t> table;
    const auto letters = 1 + rng.Below(4);
    for (int w = 0; w < 60; ++w) {
      std::string word;
      const auto size = 1 + rng.Below(12);
      for (std::uint64_t i = 0; i < size; ++i) word += static_cast<char>('a' + rng.Below(letters));
      table[word] += 1 + static_cast<std::int64_t>(rng.Below(5));
    }
    Words words;
    for (const auto& item : table) words.push_back({item.first, item.second});
    ASSERT_OK_AND_ASSIGN(const auto learned, LearnMerges(words, {50, 2}));
    const auto expected = NaiveMerges(words, 50, 2);
    ASSERT_EQ(learned.size(), expected.size()) << "round " << round;
    for (std::size_t i = 0; i < learned.size(); ++i) {
      EXPECT_EQ(std::pair(learned[i].left, learned[i].right), expected[i])
          << "round " << round << ", merge " << i;
    }
  }
}

std::string Corpus() {
  std::string text;
  Rng rng(3);
  const char* words[] = {"order", "refund", "Lily",        "caf\xC3\xA9",
                         "12345", "don't",  "\xE4\xBD\xA0"};
  for (int i = 0; i < 4000; ++i) {
    text += words[rng.Below(7)];
    text += rng.Below(9) == 0 ? "\n" : " ";
  }
  return text;
}

BpeTrainerOptions Small() {
  BpeTrainerOptions options;
  options.vocab_size = 320;
  options.threads = 1;
  return options;
}

Result<TrainedBpe> TrainOn(const std::vector<std::string>& texts, BpeTrainerOptions options) {
  METIER_ASSIGN(BpeTrainer trainer, BpeTrainer::Create(std::move(options)));
  for (const std::string& text : texts) METIER_TRY(trainer.AddText(text));
  return std::move(trainer).Train();
}

TEST(BpeTrainer, WritesATokenizerThatReadsBack) {
  BpeTrainerOptions options = Small();
  options.special_tokens = {"<|pad|>", "<|begin|>", "<|end|>"};
  options.bos = "<|begin|>";
  options.eos = "<|end|>";
  options.pad = "<|pad|>";
  options.add_bos = BosAtStart::kYes;
  ASSERT_OK_AND_ASSIGN(const TrainedBpe trained, TrainOn({Corpus()}, options));
  EXPECT_EQ(trained.dropped_words, 0);
  const test::TempFolder folder;
  ASSERT_OK(trained.Save(folder / "tokenizer"));
  ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer, LoadTokenizer(folder / "tokenizer"));
  EXPECT_EQ(tokenizer.vocab_size(), trained.vocab_size);
  EXPECT_EQ(tokenizer.special().pad, 0);
  EXPECT_EQ(tokenizer.special().bos, 1);
  EXPECT_EQ(tokenizer.special().eos, 2);
  const std::string text = "Lily's order 12345\n\n  caf\xC3\xA9 \xF0\x9F\x98\x80";
  ASSERT_OK_AND_ASSIGN(const auto ids, tokenizer.Encode(text, {AddSpecial::kYes}));
  EXPECT_EQ(ids[0], 1);
  ASSERT_OK_AND_ASSIGN(const std::string decoded, tokenizer.Decode(ids));
  EXPECT_EQ(decoded, text);
  ASSERT_OK_AND_ASSIGN(const auto word, tokenizer.Encode(" refund"));
  EXPECT_EQ(word.size(), 1u) << "a frequent word is one token";
  EXPECT_FALSE(tokenizer
                   .FindToken("\xC4\xA0"
                              "order refund")
                   .has_value());
}

TEST(BpeTrainer, ThreadsOrderAndBatchesDoNotMatter) {
  const std::string text = Corpus();
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t end = std::min(text.find('\n', i), text.size() - 1) + 1;
    texts.push_back(text.substr(i, end - i));
    i = end;
  }
  ASSERT_OK_AND_ASSIGN(const TrainedBpe one, TrainOn(texts, Small()));
  std::reverse(texts.begin(), texts.end());
  BpeTrainerOptions options = Small();
  options.threads = 3;
  options.batch_bytes = 1000;
  ASSERT_OK_AND_ASSIGN(const TrainedBpe three, TrainOn(texts, options));
  EXPECT_EQ(one.tokenizer, three.tokenizer);
  EXPECT_EQ(one.config, three.config);
}

TEST(BpeTrainer, FilesGiveWhatTheirTextsGive) {
  const std::string text = Corpus();
  const test::TempFolder folder;
  test::WriteAll(folder / "a.txt", text);
  std::string lines;
  std::vector<std::string> texts;
  std::vector<std::string> with_roles;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t end = std::min(text.find('\n', i), text.size() - 1) + 1;
    texts.push_back(text.substr(i, end - i));
    lines +=
        texts.size() % 2 == 0
            ? DumpCompact({{"text", texts.back()}})
            : DumpCompact(
                  {{"messages", Json::array({{{"role", "customer"}, {"content", texts.back()}}})}});
    lines += "\n";
    with_roles.push_back(texts.back());
    if (texts.size() % 2 != 0) with_roles.emplace_back("customer");
    i = end;
  }
  test::WriteAll(folder / "a.jsonl", lines);
  ASSERT_OK_AND_ASSIGN(const TrainedBpe expected, TrainOn(texts, Small()));
  ASSERT_OK_AND_ASSIGN(const TrainedBpe expected_of_chats, TrainOn(with_roles, Small()));
  for (const std::string name : {"a.txt", "a.jsonl"}) {
    ASSERT_OK_AND_ASSIGN(BpeTrainer trainer, BpeTrainer::Create(Small()));
    ASSERT_OK(trainer.AddFile(folder / name));
    ASSERT_OK_AND_ASSIGN(const TrainedBpe trained, std::move(trainer).Train());
    EXPECT_EQ(trained.tokenizer, (name == "a.txt" ? expected : expected_of_chats).tokenizer)
        << name;
  }
  EXPECT_NE(expected.tokenizer, expected_of_chats.tokenizer);
  ASSERT_OK_AND_ASSIGN(BpeTrainer trainer, BpeTrainer::Create(Small()));
  std::size_t next = 0;
  ASSERT_OK(trainer.AddTexts([&]() -> Result<std::optional<std::string>> {
    return next < texts.size() ? std::optional<std::string>(texts[next++]) : std::nullopt;
  }));
  ASSERT_OK_AND_ASSIGN(const TrainedBpe from_callback, std::move(trainer).Train());
  EXPECT_EQ(from_callback.tokenizer, expected.tokenizer);
}

TEST(BpeTrainer, DigitsStandAloneWhenAsked) {
  BpeTrainerOptions options = Small();
  options.digits = DigitSplit::kIndividually;
  ASSERT_OK_AND_ASSIGN(const TrainedBpe trained, TrainOn({Corpus()}, options));
  ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer,
                       TokenizerFromJson(trained.tokenizer, trained.config));
  ASSERT_OK_AND_ASSIGN(const auto ids, tokenizer.Encode("12345"));
  EXPECT_EQ(ids.size(), 5u);
  ASSERT_OK_AND_ASSIGN(const TrainedBpe grouped, TrainOn({Corpus()}, Small()));
  ASSERT_OK_AND_ASSIGN(const Tokenizer by_pattern,
                       TokenizerFromJson(grouped.tokenizer, grouped.config));
  ASSERT_OK_AND_ASSIGN(const auto fewer, by_pattern.Encode("12345"));
  EXPECT_EQ(fewer.size(), 2u) << "123 and 45 are frequent in the corpus";
}

TEST(BpeTrainer, AFullTableIsReported) {
  BpeTrainerOptions options = Small();
  options.max_words = 4;
  options.batch_bytes = 64;
  ASSERT_OK_AND_ASSIGN(const TrainedBpe trained, TrainOn({Corpus(), Corpus()}, options));
  EXPECT_GT(trained.dropped_words, 0);
  EXPECT_GT(trained.count_error, 0);
}

TEST(BpeTrainer, SpecialTokensInTheTextAreNotLearned) {
  std::vector<std::string> texts(50, "<|endoftext|>");
  ASSERT_OK_AND_ASSIGN(const TrainedBpe trained, TrainOn(texts, Small()));
  EXPECT_EQ(trained.words, 0);
  EXPECT_EQ(trained.vocab_size, 257);
}

TEST(BpeTrainer, RefusesWhatCannotWork) {
  BpeTrainerOptions options = Small();
  options.vocab_size = 256;
  EXPECT_ERROR(BpeTrainer::Create(options), ErrorCode::kInvalidArgument, "vocab_size 256");
  options = Small();
  options.eos = "<|nobody|>";
  EXPECT_ERROR(BpeTrainer::Create(options), ErrorCode::kInvalidArgument, "<|nobody|>");
  options = Small();
  options.pattern = "(";
  EXPECT_ERROR(BpeTrainer::Create(options), ErrorCode::kDataCorrupt, "pattern");
  const test::TempFolder folder;
  test::WriteAll(folder / "bad.jsonl", "{\"text\": \"ok\"}\n{\"txt\": 1}\n");
  ASSERT_OK_AND_ASSIGN(BpeTrainer trainer, BpeTrainer::Create(Small()));
  EXPECT_ERROR(trainer.AddFile(folder / "bad.jsonl"), ErrorCode::kDataCorrupt, "line 2");
  test::WriteAll(folder / "bad.txt", "fine\n\xFF");
  EXPECT_ERROR(trainer.AddFile(folder / "bad.txt"), ErrorCode::kDataCorrupt, "byte 5");
  EXPECT_ERROR(trainer.AddText("a\xC3"), ErrorCode::kDataCorrupt, "byte 1");
  EXPECT_ERROR(trainer.AddFile(folder / "none.txt"), ErrorCode::kNotFound, "none.txt");
}

TEST(BpeTrainer, TellsHowFarItIsAndMayBeEnded) {
  const test::TempFolder folder;
  std::string text;
  while (text.size() < (5 << 18)) text += Corpus();  // more than one block of reading
  test::WriteAll(folder / "corpus.txt", text);
  std::vector<std::uint64_t> read;
  std::vector<std::uint64_t> merges;
  BpeTrainerOptions options = Small();
  options.on_read = [&](std::uint64_t done, std::uint64_t total, std::string_view) {
    EXPECT_EQ(total, text.size());
    read.push_back(done);
    return Ok();
  };
  options.on_merge = [&](std::uint64_t done, std::uint64_t total, std::string_view) -> Status {
    EXPECT_EQ(total, 320U - 257U);
    merges.push_back(done);
    if (merges.size() > 3) return Error(ErrorCode::kIo, "enough");
    return Ok();
  };
  ASSERT_OK_AND_ASSIGN(BpeTrainer trainer, BpeTrainer::Create(options));
  ASSERT_OK(trainer.AddFile(folder / "corpus.txt"));
  EXPECT_THAT(read, ::testing::ElementsAre(1U << 20, text.size()));
  EXPECT_ERROR(std::move(trainer).Train(), ErrorCode::kIo, "enough");
  EXPECT_THAT(merges, ::testing::ElementsAre(1, 2, 3, 4));
}

}  // namespace
}  // namespace metier::text
