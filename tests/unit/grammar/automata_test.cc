// Patterns as automata: against the standard library's matcher, and what each construct means.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "grammar/automata/dfa.h"
#include "grammar/automata/language.h"
#include "grammar/regex/pattern.h"
#include "support/fixtures.h"
#include "text/tokenizer/unicode.h"

namespace metier::grammar {
namespace {

Dfa Language(std::string_view pattern, Match match = Match::kAnywhere,
             Spelling spelling = Spelling::kText) {
  const Result<Pattern> parsed = ParsePattern(pattern);
  SCOPED_TRACE(pattern);
  EXPECT_OK(parsed);
  Result<Dfa> dfa = LanguageOf(*parsed, match, spelling);
  EXPECT_OK(dfa);
  return std::move(*dfa);
}

std::string RandomText(Rng& rng, std::string_view letters, std::uint64_t longest) {
  std::string text;
  for (std::uint64_t size = rng.Below(longest + 1); size > 0; --size)
    text += letters[rng.Below(letters.size())];
  return text;
}

// A pattern of up to `depth` levels over the letters a, b and c.
std::string RandomPattern(Rng& rng, int depth) {
  constexpr std::string_view kAtoms[] = {"a",  "b",     "c",     ".",     "[ab]", "[^a]", "\\w",
                                         "ab", "[a-b]", "(?:b)", "[^bc]", "\\d",  "c",    "a"};
  constexpr std::string_view kTimes[] = {"*", "+", "?", "{2}", "{1,2}", "{0,1}", "{2,}", "*?"};
  if (depth == 0) return std::string(kAtoms[rng.Below(std::size(kAtoms))]);
  std::string pattern;
  switch (rng.Below(6)) {
    case 0: return "(" + RandomPattern(rng, depth - 1) + "|" + RandomPattern(rng, depth - 1) + ")";
    case 1:
      return "(?:" + RandomPattern(rng, depth - 1) + ")" +
             std::string(kTimes[rng.Below(std::size(kTimes))]);
    case 2: return "^" + RandomPattern(rng, depth - 1);
    case 3: return RandomPattern(rng, depth - 1) + "$";
    default: return RandomPattern(rng, depth - 1) + RandomPattern(rng, depth - 1);
  }
}

TEST(Automata, FindWhatTheStandardLibraryFinds) {
  Rng rng(7);
  int matched = 0;
  for (int i = 0; i < 600; ++i) {
    std::string pattern = RandomPattern(rng, 3);
    if (i % 4 == 0) pattern = "^(?!" + RandomPattern(rng, 1) + ")" + RandomPattern(rng, 2);
    if (i % 4 == 1)
      pattern = RandomPattern(rng, 1) + "(?=" + RandomPattern(rng, 1) + ")." + pattern;
    const std::regex oracle(pattern, std::regex::ECMAScript);
    const Result<Pattern> parsed = ParsePattern(pattern);
    ASSERT_OK(parsed);
    const Result<Dfa> dfa = LanguageOf(*parsed, Match::kAnywhere, Spelling::kText);
    if (!dfa.ok()) {
      ASSERT_EQ(dfa.error().code(), ErrorCode::kUnsupported) << pattern;
      continue;
    }
    for (int t = 0; t < 40; ++t) {
      const std::string text = RandomText(rng, "abc1", 7);
      const bool found = std::regex_search(text, oracle);
      ASSERT_EQ(dfa->Accepts(text), found) << pattern << " in '" << text << "'";
      matched += found ? 1 : 0;
    }
  }
  EXPECT_GT(matched, 4000);
}

TEST(Automata, WholeMatchesAreOfTheWholeText) {
  EXPECT_TRUE(Language("a|bc", Match::kWhole).Accepts("bc"));
  EXPECT_FALSE(Language("a|bc", Match::kWhole).Accepts("bca"));
  EXPECT_TRUE(Language("", Match::kWhole).Accepts(""));
  EXPECT_FALSE(Language("", Match::kWhole).Accepts("a"));
  EXPECT_TRUE(Language("[]", Match::kWhole).empty());
}

TEST(Automata, CharactersAreUtf8) {
  const Dfa letters = Language("^\\p{Lu}+$");
  EXPECT_TRUE(letters.Accepts("\xC3\x84\xD0\x96"));  // AE, ZHE
  EXPECT_FALSE(letters.Accepts("\xC3\xA4"));         // ae
  const Dfa any = Language("^.$");
  for (const std::string_view one : {"a", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"})
    EXPECT_TRUE(any.Accepts(one)) << one;
  EXPECT_FALSE(any.Accepts("\xC3"));
  EXPECT_FALSE(any.Accepts("\xED\xA0\x80"));  // a surrogate
  EXPECT_FALSE(any.Accepts("\xC1\x81"));      // an overlong A
  EXPECT_FALSE(any.Accepts("\n"));
  EXPECT_TRUE(Language("^\\u{1F600}$").Accepts("\xF0\x9F\x98\x80"));
  EXPECT_TRUE(Language("^\\uD83D\\uDE00$").Accepts("\xF0\x9F\x98\x80"));
  EXPECT_TRUE(Language("(?i)^STRA\xC3\x9F"
                       "e$")
                  .Accepts("stra\xC3\x9F"
                           "E"));
}

// Every character, by itself, is in exactly one of a set and the rest.
TEST(Automata, SetsOfCharactersAreTheirBytes) {
  const Dfa word = Language("^[\\p{L}\\p{Nd}_]$");
  const Dfa other = Language("^[^\\p{L}\\p{Nd}_]$");
  CodePoints set = *Property("L");
  set.Add(*Property("Nd"));
  set.Add('_', '_');
  Rng rng(3);
  for (int i = 0; i < 20000; ++i) {
    const auto code = static_cast<std::uint32_t>(rng.Below(i % 2 == 0 ? 0x3000 : 0x110000));
    if (code >= 0xD800 && code <= 0xDFFF) continue;
    std::string text;
    text::AppendChar(text, code);
    ASSERT_EQ(word.Accepts(text), set.Contains(code)) << code;
    ASSERT_EQ(other.Accepts(text), !set.Contains(code)) << code;
  }
}

TEST(Automata, TextsOfJsonStringsHaveOneSpelling) {
  const Dfa any = Language("^[^x]*$", Match::kAnywhere, Spelling::kJsonString);
  for (const std::string_view text : {"", "a b", "\\\"", "\\\\", "\\n\\t\\r\\b\\f", "\\u0001",
                                      "\\u001F\\u001f", "\xE2\x82\xAC", "/"})
    EXPECT_TRUE(any.Accepts(text)) << text;
  for (const std::string_view text :
       {"\"", "\\", "\n", "\\/", "\\u0041", "\\u000a", "x", "\\x", "\\u00", "\x01"})
    EXPECT_FALSE(any.Accepts(text)) << text;
}

TEST(Automata, ProductsAreBothLanguages) {
  const Dfa a = Language("^[ab]*$");
  const Dfa b = Language("bb");
  const Dfa both = *Intersect(a, b);
  const Dfa rest = *Subtract(a, b);
  Rng rng(5);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = RandomText(rng, i % 2 == 0 ? "ab" : "abc", 8);
    EXPECT_EQ(both.Accepts(text), a.Accepts(text) && b.Accepts(text)) << text;
    EXPECT_EQ(rest.Accepts(text), a.Accepts(text) && !b.Accepts(text)) << text;
  }
  EXPECT_TRUE(Subtract(b, b)->empty());
  EXPECT_TRUE(Intersect(Language("^a"), Language("^b"))->empty());
  // Small again: states that mean the same are one.
  EXPECT_EQ(Language("^(?:a|b|ab?b*a?|[ab])*$").states(), 1);
}

TEST(Automata, LengthsAreInCharacters) {
  const auto lengths = [](std::string_view pattern) {
    return LengthsOf(Language(pattern, Match::kAnywhere, Spelling::kJsonString));
  };
  EXPECT_EQ(lengths("^[a-z\xE2\x82\xAC]{3,7}$").least, 3);
  EXPECT_EQ(lengths("^[a-z\xE2\x82\xAC]{3,7}$").most, 7);
  EXPECT_EQ(lengths("^\\n\\u0001\"x?$").least, 3);
  EXPECT_EQ(lengths("^\\n\\u0001\"x?$").most, 4);
  EXPECT_EQ(lengths("abc").least, 3);
  EXPECT_FALSE(lengths("abc").most.has_value());
  EXPECT_EQ(lengths("^$").most, 0);
}

TEST(Automata, LengthsAreKept) {
  const Dfa texts =
      Language("^(?:[a-c]|\\n|\xE2\x82\xAC)*$", Match::kAnywhere, Spelling::kJsonString);
  Rng rng(11);
  for (int i = 0; i < 60; ++i) {
    const auto least = static_cast<std::int64_t>(rng.Below(5));
    std::optional<std::int64_t> most;
    if (i % 3 != 0) most = least + static_cast<std::int64_t>(rng.Below(4));
    const Dfa some = *WithLengths(texts, least, most);
    for (int t = 0; t < 40; ++t) {
      std::string text;
      const auto size = static_cast<std::int64_t>(rng.Below(10));
      for (std::int64_t c = 0; c < size; ++c) {
        constexpr std::string_view kCharacters[] = {"a", "b", "\\n", "\xE2\x82\xAC"};
        text += kCharacters[rng.Below(std::size(kCharacters))];
      }
      EXPECT_EQ(some.Accepts(text), size >= least && (!most || size <= *most)) << text;
    }
  }
  EXPECT_TRUE(
      WithLengths(Language("^ab$", Match::kAnywhere, Spelling::kJsonString), 3, 9)->empty());
}

TEST(Automata, LimitsHold) {
  AutomatonLimits few;
  few.max_states = 100;
  const Pattern chain = *ParsePattern("^(a|b)*a(a|b){12}$");
  EXPECT_ERROR(LanguageOf(chain, Match::kAnywhere, Spelling::kText, few),
               ErrorCode::kResourceExhausted, "more than 100 states");
  const Pattern many = *ParsePattern("^(a{1,1000}b{1,1000}){1,1000}$");
  EXPECT_ERROR(LanguageOf(many, Match::kAnywhere, Spelling::kText), ErrorCode::kResourceExhausted,
               "repeats so much");
}

TEST(Patterns, RefuseByName) {
  const auto refused = [](std::string_view pattern, ErrorCode code, const std::string& why) {
    SCOPED_TRACE(pattern);
    EXPECT_ERROR(ParsePattern(pattern), code, why);
  };
  const auto corrupt = ErrorCode::kDataCorrupt;
  refused("a)", corrupt, "')' without '(' at byte 1");
  refused("(a", corrupt, "'(' without ')'");
  refused("[a", corrupt, "'[' without ']'");
  refused("*a", corrupt, "nothing before it");
  refused("a**", corrupt, "behind a quantifier");
  refused("a{3,2}", corrupt, "out of order");
  refused("[z-a]", corrupt, "out of order");
  refused("a\\", corrupt, "a backslash at the end");
  refused("\xFF", corrupt, "regular expression");
  refused("(a)\\1", ErrorCode::kUnsupported, "a backreference");
  refused("\\bword", ErrorCode::kUnsupported, "a word boundary");
  refused("(?<=a)b", ErrorCode::kUnsupported, "lookbehind");
  refused("\\p{Script=Greek}", ErrorCode::kUnsupported, "Script=Greek");
  refused(std::string(300, '(') + std::string(300, ')'), ErrorCode::kResourceExhausted, "nested");
  refused("a{99999999}", ErrorCode::kResourceExhausted, "repeats more than");
  const Pattern inner = *ParsePattern("((?=a)a)*");
  EXPECT_ERROR(LanguageOf(inner, Match::kWhole, Spelling::kText), ErrorCode::kUnsupported,
               "a lookahead inside");
}

// As browsers read them.
TEST(Patterns, WhatMeansNothingIsItself) {
  for (const auto& [pattern, text] :
       std::vector<std::pair<std::string, std::string>>{{"^a{$", "a{"},
                                                        {"^]$", "]"},
                                                        {"^a{,3}$", "a{,3}"},
                                                        {"^\\-\\_\\/$", "-_/"},
                                                        {"^[\\w-]$", "-"},
                                                        {"^[a-\\d]$", "-"},
                                                        {"^\\u12$", "u12"},
                                                        {"^\\cA$", "\x01"},
                                                        {"^(?<name>a)$", "a"},
                                                        {"^\\0$", std::string(1, '\0')}}) {
    EXPECT_TRUE(Language(pattern).Accepts(text)) << pattern;
  }
}

}  // namespace
}  // namespace metier::grammar
