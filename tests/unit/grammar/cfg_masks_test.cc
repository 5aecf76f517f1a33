// Masks of context-free grammars: against every token by itself, near the limit of nesting as well,
// and texts that are sampled by them.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "grammar/grammar.h"
#include "support/fixtures.h"

namespace metier::grammar {
namespace {

struct MaskedGrammar {
  const char* name;
  const char* text;  // GBNF
  std::uint16_t most_nested = 300;
};

const MaskedGrammar kMaskedGrammars[] = {
    {"json", R"(root ::= value
value ::= object | array | string | number | "true" | "null"
object ::= "{" ws (string ":" ws value ws ("," ws string ":" ws value ws)*)? "}"
array ::= "[" ws (value ws ("," ws value ws)*)? "]"
string ::= "\"" ([^"\\\x00-\x1F] | "\\" ["\\n])* "\""
number ::= "-"? [0-9]+ ("." [0-9]+)?
ws ::= [ \n]*)"},
    {"sums",
     "root ::= root [-+] term | term\nterm ::= term \"*\" n | n\n"
     "n ::= [0-9]+ | \"(\" root \")\" | \"abc\"{1,400}"},
    {"low nesting",
     "root ::= \"[\" (root (\",\" root)*)? \"]\" | \"{\" root \"}\" | \"a\" root? \"b\"", 6},
    {"ambiguous", "root ::= root root | \"a\" | \"ab\" | \"b\" \"c\"? | \"\\\"\" .{0,600} \"\\\"\"",
     20},
    {"ends", "root ::= \"a\" tail \"!\"\ntail ::= \"b\" tail | \" \" tail \"c\"? | \"\""},
};

// All bytes, and random pieces of what the grammars have; some cut characters in two.
std::shared_ptr<const MaskVocabulary> PieceVocabulary(std::uint64_t seed,
                                                      std::vector<std::string>& bytes) {
  constexpr std::string_view kPieces[] = {
      "\"",   "\": ", "\",",  "{\"",   "\"}", "},", "[1", "]]", " ",    "  ", "\n ",
      "ab",   "abc",  "12",   ".5",    "(",   "((", ")",  "))", ")*(",  "+",  "bc",
      "\\\"", "]",    "\xC3", "\xA4x", "[[",  "a[", "!",  "b!", "true", ",",  "}"};
  Rng rng(seed);
  bytes.clear();
  for (int byte = 0; byte < 256; ++byte) bytes.emplace_back(1, static_cast<char>(byte));
  while (bytes.size() < 900) {
    const std::string a = bytes[rng.Below(3) == 0 ? rng.Below(bytes.size()) : 'a'];
    std::string piece(kPieces[rng.Below(std::size(kPieces))]);
    if (rng.Below(2) == 0) piece += kPieces[rng.Below(std::size(kPieces))];
    bytes.push_back(rng.Below(2) == 0 ? a + piece : piece);
  }
  std::vector<std::pair<TokenId, std::string_view>> tokens;
  for (std::size_t id = 0; id < bytes.size(); ++id)
    tokens.emplace_back(static_cast<TokenId>(id), bytes[id]);
  return std::make_shared<const MaskVocabulary>(
      VocabularyTrie(std::move(tokens), static_cast<std::int64_t>(bytes.size())));
}

bool HasToken(const std::vector<std::uint64_t>& mask, std::size_t id) {
  return (mask[id / 64] >> (id % 64) & 1) != 0;
}

Configurations::Id BehindText(Configurations& configurations, Configurations::Id at,
                              std::string_view text) {
  for (const char byte : text)
    if (at != Configurations::kNone) at = configurations.Next(at, static_cast<std::uint8_t>(byte));
  return at;
}

TEST(CfgMasks, AreWhatEveryTokenByItselfDoes) {
  std::vector<std::string> bytes;
  int asked = 0;
  for (const MaskedGrammar& one : kMaskedGrammars) {
    SCOPED_TRACE(one.name);
    ASSERT_OK_AND_ASSIGN(const Grammar grammar,
                         Grammar::OfGbnf(one.text, {.most_nested = one.most_nested}));
    for (const std::uint64_t seed : {1, 2, 3}) {
      const auto vocabulary = PieceVocabulary(seed, bytes);
      TokenGrammar tokens(grammar, vocabulary);
      const std::unique_ptr<Machine> machine = grammar.NewMachine();
      Configurations alone(*machine);
      Rng rng(seed);
      std::vector<std::uint64_t> mask(vocabulary->mask_words());
      for (int text_number = 0; text_number < 6; ++text_number) {
        Matcher matcher(tokens);
        Configurations::Id at = alone.start();
        std::string whole;
        for (int step = 0; step < 14; ++step) {
          matcher.FillMask(mask);
          std::vector<std::size_t> allowed;
          for (std::size_t id = 0; id < bytes.size(); ++id) {
            const bool leads = BehindText(alone, at, bytes[id]) != Configurations::kNone;
            ASSERT_EQ(HasToken(mask, id), leads) << "'" << bytes[id] << "' behind " << whole;
            if (leads) allowed.push_back(id);
          }
          ++asked;
          ASSERT_TRUE(!allowed.empty() || matcher.Complete()) << whole;
          if (allowed.empty()) break;
          const std::size_t id = allowed[rng.Below(allowed.size())];
          ASSERT_TRUE(matcher.Accept(static_cast<TokenId>(id)));
          at = BehindText(alone, at, bytes[id]);
          whole += bytes[id];
        }
      }
    }
  }
  EXPECT_GT(asked, 600);
}

// Whatever is sampled, no text comes where it cannot end, and what came is of the grammar.
TEST(CfgMasks, LeadToTextsOfTheGrammar) {
  std::vector<std::string> bytes;
  for (const MaskedGrammar& one : kMaskedGrammars) {
    SCOPED_TRACE(one.name);
    ASSERT_OK_AND_ASSIGN(const Grammar grammar,
                         Grammar::OfGbnf(one.text, {.most_nested = one.most_nested}));
    const auto vocabulary = PieceVocabulary(4, bytes);
    TokenGrammar tokens(grammar, vocabulary, /*most_kept=*/300);  // forgets on the way
    Rng rng(5);
    std::vector<std::uint64_t> mask(vocabulary->mask_words());
    int complete = 0;
    for (int n = 0; n < 20; ++n) {
      Matcher matcher(tokens);
      std::string whole;
      for (int step = 0; step < 60; ++step) {
        if (matcher.Complete()) {
          ++complete;
          EXPECT_TRUE(grammar.Accepts(whole)) << whole;
        }
        matcher.FillMask(mask);
        std::vector<std::size_t> allowed;
        for (std::size_t id = 0; id < bytes.size(); ++id)
          if (HasToken(mask, id)) allowed.push_back(id);
        ASSERT_TRUE(!allowed.empty() || matcher.Complete()) << whole;
        if (allowed.empty()) break;
        const std::size_t id = allowed[rng.Below(allowed.size())];
        ASSERT_TRUE(matcher.Accept(static_cast<TokenId>(id)));
        whole += bytes[id];
      }
    }
    EXPECT_GT(complete, 10);
  }
}

}  // namespace
}  // namespace metier::grammar
