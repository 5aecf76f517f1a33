// The base corpus: deterministic, varied, without tool calls, without names of other splits.
#include "retail/corpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <cstring>
#include <map>
#include <set>
#include <sstream>
#include <vector>

#include "retail/generate.h"
#include "retail/phrasebook.h"
#include "retail/rough_tokens.h"
#include "retail/scene.h"
#include "retail/simulator.h"
#include "retail/spellings.h"
#include "support/fixtures.h"

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

// The JSON of an assistant's note; empty where a message is none.
Json NoteOf(const Json& message) {
  std::string text = message["content"];
  if (message["role"] != "assistant" || text.rfind("<note>", 0) != 0) return Json::object();
  text = text.substr(std::strlen("<note>"), text.rfind("</note>") - std::strlen("<note>"));
  return ParseJson(text).value();
}

// However rough the letters and however long ago: what a note holds was said, letter by letter.
TEST(Corpus, NotesHoldWhatWasSaid) {
  const CorpusWriter writer(Split::kTrain, 1);
  const std::set<std::string> judged = {"/about", "/known/reason", "/wants", "/lacks", "/answer"};
  std::map<std::string, std::set<std::string>> judgements;
  std::set<std::string> facts;
  std::size_t from_afar = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const Json messages = writer.Conversation(i);
    std::string said;
    std::string latest;
    for (const Json& message : messages) {
      const Json note = NoteOf(message).empty() ? Json::object() : NoteOf(message).flatten();
      for (const auto& [key, value] : note.items()) {
        if (judged.count(key) != 0) {
          judgements[key].insert(value.get<std::string>());
          continue;
        }
        facts.insert(key);
        const std::string fact = value.is_string() ? value.get<std::string>() : DumpCompact(value);
        ASSERT_THAT(said, testing::HasSubstr(fact)) << DumpCompact(messages);
        if (latest.find(fact) == std::string::npos) ++from_afar;
      }
      if (message["role"] == "assistant") continue;
      latest = message["content"];
      said += latest + "\n";
    }
  }
  EXPECT_EQ(judgements["/about"].size(), 24u);
  EXPECT_EQ(judgements["/known/reason"].size(), 11u);
  EXPECT_THAT(judgements["/answer"], testing::ElementsAre("no", "yes"));
  EXPECT_THAT(facts, testing::ElementsAre("/known/city", "/known/colour", "/known/email",
                                          "/known/item", "/known/kind", "/known/max_price",
                                          "/known/new_postcode", "/known/new_sku", "/known/option",
                                          "/known/order_id", "/known/postcode", "/known/sku",
                                          "/known/status", "/known/street"));
  EXPECT_GT(from_afar, 2000u);
}

// Of several things in a record the note holds the number of the one that the customer named.
TEST(Corpus, NotesNameTheThingThatIsMeant) {
  const CorpusWriter writer(Split::kTrain, 1);
  std::size_t found = 0;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const Json messages = writer.Conversation(i);
    for (std::size_t turn = 2; turn + 1 < messages.size(); ++turn) {
      const auto record = ParseJson(messages[turn]["content"].get<std::string>());
      const Json note = NoteOf(messages[turn + 1]);
      const bool is_case = messages[turn]["role"] == "tool" && record.ok() && record->is_object();
      if (!is_case || !note.contains("known") || !record->contains("items")) continue;
      // Answered at once, so the letter before the record names it.
      const std::string letter = messages[turn - 2]["content"];
      for (const Json& thing : (*record)["items"]) {
        const std::string name = thing["item"];
        if (letter.find(name) == std::string::npos) continue;
        EXPECT_EQ(note["known"]["sku"], thing["sku"]) << letter << DumpCompact(*record);
        ++found;
      }
    }
  }
  EXPECT_GT(found, 50u);
}

// What a record says of the things in it: its name, and the key and value that a note has of it.
struct Answer {
  std::string name;
  std::string key;
  std::string value;
};

std::vector<Answer> AnswersOf(const Json& record) {
  std::vector<Answer> answers;
  if (!record.is_object()) return answers;
  for (const Json& thing : record.value("items", Json::array())) {
    answers.push_back({thing["item"], "sku", thing["sku"]});
  }
  for (const Json& order : record.value("orders", Json::array())) {
    std::istringstream names(order["items"].get<std::string>());
    for (std::string name; std::getline(names >> std::ws, name, ',');) {
      answers.push_back({name, "order_id", order["order_id"]});
    }
  }
  return answers;
}

// Further questions about the same record: each names one thing, and the note holds its number, or
// that of the order which it came with.
TEST(Corpus, ShortNotesNameTheThingThatIsMeant) {
  const CorpusWriter writer(Split::kTrain, 1);
  std::map<std::string, int> found;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const Json messages = writer.Conversation(i);
    std::vector<Answer> answers;
    for (std::size_t turn = 0; turn + 1 < messages.size(); ++turn) {
      const std::string text = messages[turn]["content"];
      if (messages[turn]["role"] == "tool") answers = AnswersOf(ParseJson(text).value());
      const Json note = NoteOf(messages[turn + 1]);
      if (note.size() != 1 || !note.contains("known") || note["known"].size() > 2) continue;
      for (const Answer& answer : answers) {
        if (!note["known"].contains(answer.key)) continue;
        const std::string kind = Lower(answer.name.substr(answer.name.find(' ') + 1));
        if (text.find(answer.name) == std::string::npos &&
            text.find("the " + kind) == std::string::npos) {
          continue;
        }
        EXPECT_EQ(note["known"][answer.key], answer.value) << text << DumpCompact(messages);
        ++found[answer.key];
      }
    }
  }
  EXPECT_GT(found["sku"], 200);
  EXPECT_GT(found["order_id"], 30);
}

class SpellingsTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& text) {
    const std::string path = folder_ / "tokenizer.json";
    test::WriteAll(path, text);
    return path;
  }
  const test::TempFolder folder_;
};

TEST_F(SpellingsTest, WordsAreMadeOfTheEntries) {
  const std::string path = Write(
      R"({"model": {"vocab": {"Ġan": 0, "Ber": 1, "q": 2, "ss": 3, "9": 4, "\"}": 5, "shi": 6}}})");
  const Spellings spellings = Spellings::Read(path).value();
  Rng rng(1);
  std::set<char> letters;
  for (int i = 0; i < 2000; ++i) {
    const std::string word = spellings.Word(rng);
    EXPECT_TRUE(word.size() >= 3 && word.size() <= 12) << word;
    EXPECT_EQ(word.find("shi"), std::string::npos) << word;
    letters.insert(word.begin(), word.end());
  }
  EXPECT_THAT(letters, testing::ElementsAre('a', 'b', 'e', 'n', 'q', 'r', 's'));
  const CorpusWriter with(Split::kTrain, 1, &spellings);
  const CorpusWriter without(Split::kTrain, 1);
  EXPECT_NE(with.Repetition(3), without.Repetition(3));
  EXPECT_EQ(with.Repetition(3), with.Repetition(3));
}

TEST_F(SpellingsTest, RefusesWhatIsNoVocabulary) {
  EXPECT_FALSE(Spellings::Read(folder_ / "absent.json").ok());
  EXPECT_FALSE(Spellings::Read(Write("{")).ok());
  for (const char* text :
       {"[]", "{}", R"({"model": {"vocab": []}})", R"({"model": {"vocab": {"a": 1, "12": 2}}})",
        R"({"model": {"vocab": {"shit": 1}}})"}) {
    const auto read = Spellings::Read(Write(text));
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_THAT(read.error().message(), testing::HasSubstr("expected a tokenizer.json")) << text;
  }
}

TEST(Corpus, ChatsAreShortAndLong) {
  const CorpusWriter writer(Split::kTrain, 1);
  std::size_t shorter = 0;
  std::size_t longer = 0;
  for (std::uint64_t i = 0; i < 300; ++i) {
    std::uint64_t tokens = 0;
    for (const Json& message : writer.Conversation(i)) {
      tokens += RoughTokens(message["content"].get<std::string>());
    }
    shorter += tokens < 150 ? 1 : 0;
    longer += tokens > 500 ? 1 : 0;
    EXPECT_LT(tokens, 1500u);
  }
  EXPECT_GT(shorter, 10u);
  EXPECT_GT(longer, 60u);
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
  for (const char* part : {"tool_call", "\"arguments\"", "<|im_start|>", "Ferngate"}) {
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
