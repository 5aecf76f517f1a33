// The base corpus: deterministic, varied, without tool calls, without names of other splits.
#include "retail/corpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <set>

#include "retail/generate.h"
#include "retail/phrasebook.h"
#include "retail/scene.h"
#include "retail/simulator.h"

namespace metier::retail {
namespace {

constexpr std::uint64_t kDocuments = 3000;

std::string Text(Split split, std::uint64_t seed, std::uint64_t documents) {
  const CorpusWriter writer(split, seed);
  std::string out;
  for (std::uint64_t i = 0; i < documents; ++i) {
    out += writer.Document(i) + "\n\n";
    out += writer.Repetition(i) + "\n";
    for (const Json& message : writer.Conversation(i))
      out += message["content"].get<std::string>() + "\n";
  }
  return out;
}

TEST(Corpus, SameSeedSameTextOtherSeedOther) {
  EXPECT_EQ(Text(Split::kTrain, 1, 50), Text(Split::kTrain, 1, 50));
  EXPECT_NE(Text(Split::kTrain, 1, 50), Text(Split::kTrain, 2, 50));
}

TEST(Corpus, DocumentsAreDifferent) {
  const CorpusWriter writer(Split::kTrain, 1);
  std::set<std::string> seen;
  for (std::uint64_t i = 0; i < kDocuments; ++i) seen.insert(writer.Document(i));
  EXPECT_GT(seen.size(), kDocuments * 95 / 100);
}

TEST(Corpus, ChatsTakeTurnsAndEndWithTheAssistant) {
  const CorpusWriter writer(Split::kTrain, 1);
  std::set<std::string> roles;
  std::set<std::string> seen;
  for (std::uint64_t i = 0; i < 500; ++i) {
    const Json messages = writer.Conversation(i);
    ASSERT_EQ(messages, writer.Conversation(i));
    ASSERT_FALSE(messages.empty());
    EXPECT_EQ(messages.back()["role"], "assistant");
    for (std::size_t turn = 0; turn < messages.size(); ++turn) {
      const std::string role = messages[turn]["role"];
      roles.insert(role);
      EXPECT_NE(messages[turn]["content"], "") << DumpCompact(messages);
      EXPECT_TRUE(turn == 0 || role != messages[turn - 1]["role"]) << DumpCompact(messages);
    }
    seen.insert(DumpCompact(messages));
  }
  EXPECT_THAT(roles, testing::ElementsAre("assistant", "system", "tool", "user"));
  EXPECT_GT(seen.size(), 490u);
}

// However rough the letter: what the note holds stands in it, letter by letter.
TEST(Corpus, NotesHoldWhatTheirLettersSay) {
  const CorpusWriter writer(Split::kTrain, 1);
  std::set<std::string> subjects;
  std::set<std::string> facts;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const Json messages = writer.Conversation(i);
    for (std::size_t turn = 1; turn < messages.size(); ++turn) {
      if (messages[turn]["role"] != "assistant") continue;
      const auto note = ParseJson(messages[turn]["content"].get<std::string>());
      if (!note.ok() || !(note->contains("about") || note->contains("why"))) continue;
      const std::string letter = messages[turn - 1]["content"];
      for (const auto& [key, value] : note->items()) {
        if (key == "about") subjects.insert(value.get<std::string>());
        if (key == "about" || key == "why") continue;
        facts.insert(key);
        EXPECT_THAT(letter, testing::HasSubstr(value.get<std::string>()));
      }
      if (!note->contains("email")) {
        EXPECT_THAT(letter, testing::Not(testing::HasSubstr("@")));
      }
    }
  }
  EXPECT_EQ(subjects.size(), 24u);
  EXPECT_THAT(facts, testing::ElementsAre("email", "number", "order", "postcode"));
}

TEST(Corpus, RepetitionsSayTheSameTwoToFourTimes) {
  const CorpusWriter writer(Split::kTrain, 1);
  std::set<std::size_t> times;
  for (std::uint64_t i = 0; i < 300; ++i) {
    const std::string text = writer.Repetition(i);
    ASSERT_EQ(text, writer.Repetition(i));
    // The shortest beginning that comes again to fill the text, with something between.
    bool found = false;
    for (std::size_t count = 4; count >= 2 && !found; --count) {
      for (std::size_t between = 1; between <= 8 && !found; ++between) {
        if (text.size() < (count - 1) * between) continue;
        const std::size_t rest = text.size() - (count - 1) * between;
        if (rest % count != 0) continue;
        const std::size_t size = rest / count;
        found = true;
        for (std::size_t k = 1; k < count; ++k) {
          found = found && text.compare(k * (size + between), size, text, 0, size) == 0;
        }
        if (found) times.insert(count);
      }
    }
    ASSERT_TRUE(found) << text;
  }
  EXPECT_THAT(times, testing::ElementsAre(2, 3, 4));
}

TEST(Corpus, InventsNoRudeWord) {
  Rng rng(1);
  Scene scene(Split::kTrain, rng);
  for (int i = 0; i < 20000; ++i) {
    const std::string word = scene.Word();
    for (const char* rude : {"fuck", "shit", "tit", "nig", "piss", "fag"}) {
      ASSERT_EQ(word.find(rude), std::string::npos) << word;
    }
  }
}

TEST(Corpus, HoldsNoToolAndNoSupportDialogue) {
  const std::string text = Text(Split::kTrain, 1, kDocuments);
  for (const std::string& tool : ToolSet::Ours().Names()) {
    EXPECT_EQ(text.find(tool), std::string::npos) << tool;
  }
  for (const char* part :
       {"tool_call", "\"arguments\"", "<|im_start|>", "order_id", "\"sku\"", "Ferngate"}) {
    EXPECT_EQ(text.find(part), std::string::npos) << part;
  }
}

TEST(Corpus, HoldsNoNameOfAnotherSplitAndNoNumberOfAnyShop) {
  const std::string text = Text(Split::kTrain, 1, kDocuments);
  for (const char* section : {"people/first", "people/last", "people/city", "people/street"}) {
    for (const std::string_view name : PhraseBook::Ours().Lines(section, Split::kTest)) {
      // As a word of its own: "Ann" stands in "Hanna".
      for (std::size_t at = text.find(name); at != std::string::npos;
           at = text.find(name, at + 1)) {
        const std::size_t end = at + name.size();
        const bool word =
            (at == 0 || std::isalpha(static_cast<unsigned char>(text[at - 1])) == 0) &&
            std::isalpha(static_cast<unsigned char>(text[end])) == 0;
        ASSERT_FALSE(word) << name << ": " << text.substr(at > 40 ? at - 40 : 0, 100);
      }
    }
  }
  const World world = MakeWorld({}).value();
  for (const Order& order : world.orders) EXPECT_EQ(text.find(order.id), std::string::npos);
  for (const Variant& variant : world.variants)
    EXPECT_EQ(text.find(variant.sku), std::string::npos);
}

TEST(Corpus, CountsTokensRoughly) {
  EXPECT_EQ(RoughTokens(""), 0u);
  EXPECT_EQ(RoughTokens("the cat"), 2u);
  EXPECT_EQ(RoughTokens("W48213."), 7u);
}

}  // namespace
}  // namespace metier::retail
