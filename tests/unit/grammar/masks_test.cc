// Masks over vocabularies: against every token by itself, and texts that are sampled by them.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "grammar/grammar.h"
#include "support/fixtures.h"

namespace metier::grammar {
namespace {

const char* const kSchemas[] = {
    "true",
    R"({"type": "object", "properties": {"name": {"type": "string", "maxLength": 6},
        "age": {"type": "integer", "minimum": 0, "maximum": 130}}, "required": ["name"],
        "additionalProperties": false})",
    R"({"type": "object", "properties": {"city": {"enum": ["Oslo", "Osaka", "\u00d6rebro", "a\"b"]}},
        "additionalProperties": {"type": "array", "items": {"type": "number"}, "maxItems": 3}})",
    R"({"anyOf": [{"type": "string", "pattern": "^(?:ab|c)+$"}, {"type": "array",
        "items": {"$ref": "#"}, "maxItems": 2}]})",
    R"({"type": "string", "minLength": 2, "maxLength": 3})",
    R"({"type": "array", "uniqueItems": true, "items": {"enum": ["a", "ab", true, 12]}, "minItems": 3})",
    R"({"type": "array", "uniqueItems": true, "items": {"type": ["string", "boolean"]}, "maxItems": 3})",
    R"({"oneOf": [{"type": "object", "properties": {"t": {"const": "x"}, "v": {"type": "integer"}},
        "required": ["t", "v"], "additionalProperties": false}, {"type": "object",
        "properties": {"t": {"const": "y"}, "v": {"type": "string", "format": "date"}},
        "required": ["t", "v"], "additionalProperties": false}]})",
};

// All bytes, and pieces of texts as they come in JSON, some of them cut within a character.
std::shared_ptr<const MaskVocabulary> Vocabulary(std::uint64_t seed,
                                                 std::vector<std::string>& bytes) {
  constexpr std::string_view kPieces[] = {
      "\"",   "\": ",   "\",",      "{\"",  "\"}",      "},",       "[1",     "]]",     " ",
      "  ",   "\n  ",   "true",     "null", "name",     "age",      "city",   "Os",     "lo",
      "ab",   "abc",    "12",       ".5",   "e-",       "\\n",      "\\u00",  "\\\"",   "\xC3\x96",
      "\xC3", "\x96re", "\xE2\x82", "\xAC", "\xF0\x9F", "\x98\x80", "x\",\"", "2024-0", "\": \""};
  Rng rng(seed);
  bytes.clear();
  for (int byte = 0; byte < 256; ++byte) bytes.emplace_back(1, static_cast<char>(byte));
  for (const std::string_view piece : kPieces) bytes.emplace_back(piece);
  while (bytes.size() < 900) {
    const std::string_view a = bytes[rng.Below(bytes.size())];
    const std::string_view b = bytes[256 + rng.Below(std::size(kPieces))];
    bytes.push_back(std::string(a) + std::string(b));
  }
  bytes.emplace_back("");  // a special token
  std::vector<std::pair<TokenId, std::string_view>> tokens;
  for (std::size_t id = 0; id < bytes.size(); ++id)
    tokens.emplace_back(static_cast<TokenId>(id), bytes[id]);
  return std::make_shared<const MaskVocabulary>(
      VocabularyTrie(std::move(tokens), static_cast<std::int64_t>(bytes.size())));
}

bool Has(const std::vector<std::uint64_t>& mask, std::size_t id) {
  return (mask[id / 64] >> (id % 64) & 1) != 0;
}

// A token may come where its bytes lead on, one by one, and never else.
TEST(Masks, AreWhatEveryTokenByItselfDoes) {
  std::vector<std::string> bytes;
  int asked = 0;
  for (const char* text : kSchemas) {
    ASSERT_OK_AND_ASSIGN(const Json schema, ParseJson(text));
    ASSERT_OK_AND_ASSIGN(const Grammar grammar, Grammar::OfSchema(schema));
    for (const std::uint64_t seed : {1, 2, 3}) {
      const auto vocabulary = Vocabulary(seed, bytes);
      TokenGrammar tokens(grammar, vocabulary);
      const std::unique_ptr<Machine> machine = grammar.NewMachine();
      Configurations alone(*machine);
      Rng rng(seed);
      std::vector<std::uint64_t> mask(vocabulary->mask_words());
      for (int text_number = 0; text_number < 6; ++text_number) {
        Matcher matcher(tokens);
        Configurations::Id at = alone.start();
        std::string whole;
        for (int step = 0; step < 12 && !matcher.Ends(); ++step) {
          matcher.FillMask(mask);
          std::vector<std::size_t> allowed;
          for (std::size_t id = 0; id < bytes.size(); ++id) {
            Configurations::Id next = bytes[id].empty() ? Configurations::kNone : at;
            for (const char byte : bytes[id])
              if (next != Configurations::kNone)
                next = alone.Next(next, static_cast<std::uint8_t>(byte));
            ASSERT_EQ(Has(mask, id), next != Configurations::kNone)
                << text << " token '" << bytes[id] << "' behind " << whole;
            if (next != Configurations::kNone) allowed.push_back(id);
          }
          ++asked;
          ASSERT_TRUE(!allowed.empty() || matcher.Complete());
          if (allowed.empty()) break;
          const std::size_t id = allowed[rng.Below(allowed.size())];
          ASSERT_TRUE(matcher.Accept(static_cast<TokenId>(id)));
          for (const char byte : bytes[id]) at = alone.Next(at, static_cast<std::uint8_t>(byte));
          whole += bytes[id];
        }
      }
    }
  }
  EXPECT_GT(asked, 500);
}

// Whatever is sampled, it comes to an end, and what came is of the grammar.
TEST(Masks, LeadToTextsOfTheGrammar) {
  std::vector<std::string> bytes;
  for (const char* text : kSchemas) {
    SCOPED_TRACE(text);
    ASSERT_OK_AND_ASSIGN(const Json schema, ParseJson(text));
    ASSERT_OK_AND_ASSIGN(const Grammar grammar, Grammar::OfSchema(schema));
    const auto vocabulary = Vocabulary(4, bytes);
    TokenGrammar tokens(grammar, vocabulary, /*most_kept=*/300);  // forgets on the way
    Rng rng(5);
    std::vector<std::uint64_t> mask(vocabulary->mask_words());
    for (int n = 0; n < 40; ++n) {
      Matcher matcher(tokens);
      std::string whole;
      for (int step = 0;; ++step) {
        ASSERT_LT(step, 4000);
        if (matcher.Ends() || (matcher.Complete() && rng.Below(3) == 0)) break;
        matcher.FillMask(mask);
        // Ever more eager to close what is open.
        std::vector<std::size_t> allowed;
        std::vector<std::size_t> closing;
        for (std::size_t id = 0; id < bytes.size(); ++id) {
          if (!Has(mask, id)) continue;
          allowed.push_back(id);
          if (bytes[id].find_first_of("\"]}") == 0) closing.push_back(id);
        }
        ASSERT_FALSE(allowed.empty()) << whole;
        const bool close = !closing.empty() && static_cast<int>(rng.Below(60)) < step;
        const std::vector<std::size_t>& from = close ? closing : allowed;
        const std::size_t id = from[rng.Below(from.size())];
        ASSERT_TRUE(matcher.Accept(static_cast<TokenId>(id)));
        whole += bytes[id];
      }
      EXPECT_TRUE(grammar.Accepts(whole)) << whole;
      EXPECT_OK(ParseJson(whole));
    }
  }
}

TEST(Masks, RollBackToTheBit) {
  std::vector<std::string> bytes;
  ASSERT_OK_AND_ASSIGN(const Json schema, ParseJson(kSchemas[1]));
  ASSERT_OK_AND_ASSIGN(const Grammar grammar, Grammar::OfSchema(schema));
  const auto vocabulary = Vocabulary(1, bytes);
  TokenGrammar tokens(grammar, vocabulary);
  Matcher matcher(tokens);
  const auto mask_here = [&] {
    std::vector<std::uint64_t> mask(vocabulary->mask_words());
    matcher.FillMask(mask);
    return mask;
  };
  std::vector<std::vector<std::uint64_t>> masks = {mask_here()};
  for (const char* text : {"{", "\"", "n", "a", "m", "e", "\"", ":", "\"", "x", "\"", "}"}) {
    ASSERT_TRUE(matcher.Accept(static_cast<unsigned char>(*text))) << text;
    masks.push_back(mask_here());
  }
  EXPECT_TRUE(matcher.Ends());
  EXPECT_FALSE(matcher.Accept('x'));
  EXPECT_FALSE(matcher.Accept(static_cast<TokenId>(bytes.size() - 1)));  // the special one
  EXPECT_FALSE(matcher.Accept(-1));
  for (const std::size_t back : {1U, 3U, 2U}) {
    matcher.Rollback(back);
    EXPECT_EQ(mask_here(), masks[matcher.tokens()]);
  }
  EXPECT_TRUE(matcher.Accept('"'));
}

TEST(Masks, SayWhatMustCome) {
  std::vector<std::string> bytes;
  ASSERT_OK_AND_ASSIGN(const Json schema, ParseJson(kSchemas[1]));
  ASSERT_OK_AND_ASSIGN(const Grammar grammar, Grammar::OfSchema(schema, {.most_space = 0}));
  TokenGrammar tokens(grammar, Vocabulary(1, bytes));
  Matcher matcher(tokens);
  EXPECT_EQ(matcher.Forced(), "{\"");
  for (const char byte : std::string_view("{\"a")) ASSERT_TRUE(matcher.Accept(byte));
  EXPECT_EQ(matcher.Forced(), "ge\":");
  EXPECT_EQ(matcher.Forced(2), "ge");
}

}  // namespace
}  // namespace metier::grammar
