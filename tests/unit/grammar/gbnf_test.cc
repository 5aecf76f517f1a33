// GBNF: what each construct means, and what is wrong with a text that is none.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "grammar/grammar.h"
#include "support/fixtures.h"

namespace metier::grammar {
namespace {

struct Meaning {
  std::string grammar;
  std::vector<std::string> accepted;
  std::vector<std::string> refused;
};

void ExpectMeaning(const Meaning& meaning) {
  SCOPED_TRACE(meaning.grammar);
  ASSERT_OK_AND_ASSIGN(const Grammar grammar, Grammar::OfGbnf(meaning.grammar));
  for (const std::string& text : meaning.accepted) EXPECT_TRUE(grammar.Accepts(text)) << text;
  for (const std::string& text : meaning.refused) EXPECT_FALSE(grammar.Accepts(text)) << text;
}

TEST(Gbnf, ConstructsMeanWhatTheySay) {
  const Meaning meanings[] = {
      {"root ::= \"ab\"", {"ab"}, {"", "a", "abc"}},
      {"root ::=", {""}, {"a"}},
      {"root ::= \"\"", {""}, {"a"}},
      {"root ::= \"a\" | \"b\" |", {"a", "b", ""}, {"ab"}},
      {"root ::= (\"a\" | \"b\") \"c\"", {"ac", "bc"}, {"a", "c"}},
      {"root ::= \"a\"? \"b\"* \"c\"+", {"c", "abcc", "bbc"}, {"ab", "aac"}},
      {"root ::= \"ab\"{2}", {"abab"}, {"ab", "ababab", "abb"}},
      {"root ::= \"a\"{ 1 , 3 }", {"a", "aaa"}, {"", "aaaa"}},
      {"root ::= \"a\"{2,}", {"aa", "aaaaa"}, {"a"}},
      {"root ::= \"a\"{0} \"b\"", {"b"}, {"ab"}},
      {"root ::= [a-cx]", {"a", "b", "x"}, {"d", "-", "ab"}},
      {"root ::= [a-]+", {"a-", "--"}, {"b"}},
      {"root ::= [^a-c\\n]", {"d", "\xE2\x82\xAC"}, {"a", "\n", "", "\xE2\x82"}},
      {"root ::= .", {"a", "\n", "\xF0\x9F\x98\x80"}, {"", "ab", "\xFF", "\xF8"}},
      {"root ::= \"\\x41\\u00e4\\U0001F600\\t\\\"\\\\\"",
       {"A\xC3\xA4\xF0\x9F\x98\x80\t\"\\"},
       {"A"}},
      {"root ::= [\\]\\[\\x30-\\x32]", {"]", "[", "1"}, {"\\", "3"}},
      {"root ::= word-2 \"!\"\nword-2 ::= [a-z]+", {"hi!"}, {"hi", "!"}},
      {"# said first\nroot ::= \"a\" # and here\n  # nothing\n\nb ::= \"b\"", {"a"}, {"b"}},
      {"root ::=\n  \"a\"\n  | \"b\" |\n  \"c\"\nx ::= \"x\"", {"a", "b", "c"}, {"x"}},
      {"root ::= (\n  \"a\" # one\n  \"b\"\n)* \"c\"\r\nx ::= root", {"c", "ababc"}, {"ac"}},
      {"root ::=\nx ::= \"x\"", {""}, {"x"}},
      {"root ::= \"(\" root \")\" | \"x\"", {"x", "((x))"}, {"((x)", "()", ""}},
      {"root ::= a\na ::= \"x\" a | \"y\"", {"y", "xxxy"}, {"x", "xyy"}},
  };
  for (const Meaning& meaning : meanings) ExpectMeaning(meaning);
}

TEST(Gbnf, ErrorsSayWhereAndWhatInstead) {
  const auto refused = [](const std::string& grammar, ErrorCode code, const std::string& why) {
    SCOPED_TRACE(grammar);
    EXPECT_ERROR(Grammar::OfGbnf(grammar), code, why);
  };
  const auto corrupt = ErrorCode::kDataCorrupt;
  refused("", corrupt, "no rule 'root', with which every text begins; define it");
  refused("root ::= wird\nword ::= \"a\"", corrupt,
          "GBNF, line 1, column 10: rule 'wird' is not defined; did you mean 'word'?");
  refused("root ::= \"a\"\nroot ::= \"b\"", corrupt,
          "GBNF, line 2, column 1: rule 'root' is defined twice");
  refused("root := \"a\"", corrupt, "line 1, column 6: expected '::=' behind 'root'");
  refused("root ::= \"a\n", corrupt, "line 1, column 10: '\"' without its end");
  refused("root ::= [a", corrupt, "column 10: '[' without ']'");
  refused("root ::= []", corrupt, "column 10: a class without characters");
  refused("root ::= [z-a]", corrupt, "column 11: a range whose ends are out of order");
  refused("root ::= (\"a\"\n", corrupt, "column 10: '(' without ')'");
  refused("root ::= \"a\")", corrupt, "column 13: expected the line's end, or more of the rule");
  refused("root ::= \"a\" ; \"b\"", corrupt, "column 14: expected the line's end");
  refused("root ::= *", corrupt, "column 10: a quantifier with nothing before it");
  refused("root ::= \"a\"**", corrupt, "column 14: a quantifier behind a quantifier; put paren");
  refused("root ::= \"a\"{3,2}", corrupt, "times whose bounds are out of order");
  refused("root ::= \"a\"{x}", corrupt, "column 14: expected a number");
  refused("root ::= \"a\"{2", corrupt, "expected '}'");
  refused("root ::= \"\xC3\xA4\\q\"", corrupt, "column 13: no escape '\\q'; there are \\n");
  refused("root ::= \"\\x4\"", corrupt, "an escape of 2 hexadecimal digits has another");
  refused("root ::= \"\\uD800\"", corrupt, "U+D800 is no character");
  refused("root ::= \"\xFF\"", corrupt, "GBNF");
  refused(
      "root ::= \"a\" <think>", ErrorCode::kUnsupported,
      "column 14: a token (<...>): a grammar says what text may come, in whatever tokens; write");
  refused("root ::= !<[1000]>", ErrorCode::kUnsupported, "a token (<...>)");
  const auto much = ErrorCode::kResourceExhausted;
  refused("root ::= \"a\"{2000000}", much, "column 14: repeats more than 1048576 times, the limit");
  refused("root ::= " + std::string(200, '(') + std::string(200, ')'), much,
          "nested more than 100");
  refused(std::string(200, 'x') + " ::= \"a\"", much, "a name of more than 100 bytes");
  refused("root ::= \"" + std::string(1 << 18, 'x') + "\"", much, "bytes, the limit is");
  std::string rules;
  for (int i = 0; i < 5000; ++i) rules += "r" + std::to_string(i) + " ::= \"a\"\n";
  refused(rules, much, "more than 4096 rules, the limit");
}

TEST(Gbnf, VerdictsSayHowFarATextWasOne) {
  ASSERT_OK_AND_ASSIGN(const Grammar grammar, Grammar::OfGbnf("root ::= \"ab\" [0-9]+ \"c\"?"));
  EXPECT_EQ(grammar.Judge("ab12x").bytes, 4U);
  EXPECT_EQ(grammar.Judge("ab").bytes, 2U);
  EXPECT_FALSE(grammar.Judge("ab").accepted);
  EXPECT_TRUE(grammar.Judge("ab7c").accepted);
  EXPECT_EQ(grammar.shapes(), nullptr);
  EXPECT_NE(grammar.cfg(), nullptr);
}

}  // namespace
}  // namespace metier::grammar
