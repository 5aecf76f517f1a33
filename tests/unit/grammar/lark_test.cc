// Lark: what each construct means, and what is wrong with a text that is none.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "grammar/grammar.h"
#include "support/fixtures.h"

namespace metier::grammar {
namespace {

struct LarkMeaning {
  std::string grammar;
  std::vector<std::string> accepted;
  std::vector<std::string> refused;
};

void ExpectLarkMeaning(const LarkMeaning& meaning) {
  SCOPED_TRACE(meaning.grammar);
  ASSERT_OK_AND_ASSIGN(const Grammar grammar, Grammar::OfLark(meaning.grammar));
  for (const std::string& text : meaning.accepted) EXPECT_TRUE(grammar.Accepts(text)) << text;
  for (const std::string& text : meaning.refused) EXPECT_FALSE(grammar.Accepts(text)) << text;
}

TEST(Lark, ConstructsMeanWhatTheySay) {
  const LarkMeaning meanings[] = {
      {"start: \"a\" B\nB: \"b\"", {"ab"}, {"a", "b", ""}},
      {"start: \"a\" | \"b\" -> second\n     | \"c\"\n", {"a", "b", "c"}, {"ab"}},
      {"?start: x \"z\"?\n!x: (\"a\" \"b\")+ [\"c\"]", {"ab", "ababcz"}, {"a", "cz"}},
      {"start: \"a\"? \"b\"* \"c\"+", {"c", "abcc"}, {"ab"}},
      {"start: \"ab\" ~ 2", {"abab"}, {"ab", "ababab"}},
      {"start: \"a\"~1..3", {"a", "aaa"}, {"", "aaaa"}},
      {"start: [\"a\" \"b\"] \"c\"", {"c", "abc"}, {"ac"}},
      {"start: \"if\"i", {"if", "IF", "iF"}, {"i"}},
      {"start: \"a\"..\"c\" \"\\x41\"..\"\\u0043\"", {"aA", "cB"}, {"da", "aD"}},
      {"start: /[a-c]+\\/x/", {"ab/x"}, {"ab", "ab\\/x"}},
      {"start: /a.b/is", {"A\nB", "axb"}, {"ab"}},
      {"start: /a.b/u", {"axb"}, {"a\nb", "AxB"}},
      {"start: \"\\n\\t\\\\\\\"\\d\"", {"\n\t\\\"\\d"}, {"\n"}},
      {"start.2: X\nX.-1: \"x\"", {"x"}, {""}},
      {"?start: a // a comment\n# and one\n!a: \"x\"  # here\n", {"x"}, {"a"}},
      {"!?start: _a _B\n_a: \"a\"\n_B: \"b\"", {"ab"}, {"a"}},
      {"start: (\"a\"\n  | \"b\" // two\n  )+ \"c\"", {"bc", "abac"}, {"c", "ab"}},
      {"start: \"(\" start \")\" | \"x\"", {"((x))"}, {"(x"}},
      {"start: A+\nA: \"a\" B | \"b\"\nB: /[0-9]/", {"a1b", "ba2"}, {"a"}},
  };
  for (const LarkMeaning& meaning : meanings) ExpectLarkMeaning(meaning);
  // A prefix that shapes trees stands before rules only; a priority, behind a definition's name.
  EXPECT_ERROR(Grammar::OfLark("?start: !x\n!x: \"a\""), ErrorCode::kDataCorrupt, "column 9");
  EXPECT_ERROR(Grammar::OfLark("start: X.2\nX: \"x\""), ErrorCode::kDataCorrupt, "column 9");
}

TEST(Lark, WhatIsIgnoredStandsBetweenTerminalsAndNotInThem) {
  ExpectLarkMeaning({"start: \"a\" B* \"c\"\nB: \"b\" \"x\"\n%ignore \" \"\n%ignore /#[^\\n]*\\n/",
                     {"ac", " a  bx bxc ", "a#no\nc", "a c"},
                     {"ab xc", "a\nc", "a#c"}});
  // Terminals are whole in rules, however they are written.
  ExpectLarkMeaning({"start: \"ab\" /cd/\n%ignore \" \"", {"ab cd", " abcd "}, {"a bcd", "abc d"}});
  // No terminal is cut off as the longest: any way of reading will do.
  ExpectLarkMeaning({"start: WORD WORD\nWORD: /[a-z]+/", {"ab", "abc"}, {"a"}});
}

TEST(Lark, CommonTerminalsAreThere) {
  const auto accepts = [](const std::string& terminal, const std::vector<std::string>& accepted,
                          const std::vector<std::string>& refused) {
    ExpectLarkMeaning(
        {"start: " + terminal + "\n%import common." + terminal + "\n", accepted, refused});
  };
  accepts("INT", {"0", "123"}, {"-1", ""});
  accepts("SIGNED_INT", {"-12", "+1", "7"}, {"--1", "1.0"});
  accepts("DECIMAL", {"1.5", ".5", "1."}, {".", "1"});
  accepts("FLOAT", {"1.5", "1e5", "1.e-5", ".5E+1"}, {"1", "e5"});
  accepts("NUMBER", {"1", "1.5", "1e5", ".5"}, {"-1", "."});
  accepts("SIGNED_NUMBER", {"-1", "+1.5e3"}, {"-"});
  accepts("SIGNED_FLOAT", {"-1.5", "+1e3"}, {"-1"});
  accepts("ESCAPED_STRING", {"\"\"", "\"a\\\"b\"", "\"\\\\\""}, {"\"\\\"", "\"a\nb\"", "a"});
  accepts("CNAME", {"_a1", "Z"}, {"1a", ""});
  accepts("WORD", {"abC"}, {"a1"});
  accepts("HEXDIGIT", {"f", "0", "A"}, {"g"});
  accepts("WS", {" \t\r\n\f"}, {"", "a"});
  accepts("NEWLINE", {"\n", "\r\n\n"}, {"\r", " "});
  accepts("C_COMMENT", {"/**/", "/* a * b */", "/***/"}, {"/*/", "/* */ */"});
  accepts("CPP_COMMENT", {"// a"}, {"// a\n", "/ a"});
  accepts("SH_COMMENT", {"# a"}, {"a"});
  accepts("SQL_COMMENT", {"-- a"}, {"- a"});
  ExpectLarkMeaning(
      {"start: NAME NUM+\n%import common.CNAME -> NAME\n"
       "%import common (INT, WS)\n%import common.INT -> NUM\n%ignore WS\n%ignore INT",
       {"x 1 2", "12 x 3"},
       {"x"}});
}

TEST(Lark, ErrorsSayWhereAndWhatInstead) {
  const auto refused = [](const std::string& grammar, ErrorCode code, const std::string& why) {
    SCOPED_TRACE(grammar);
    EXPECT_ERROR(Grammar::OfLark(grammar), code, why);
  };
  const auto corrupt = ErrorCode::kDataCorrupt;
  refused("a: \"x\"", corrupt, "Lark, line 1, column 1: rule 'start' is not defined");
  refused("start: wird\nword: \"a\"", corrupt,
          "line 1, column 8: rule 'wird' is not defined; did you mean 'word'?");
  refused("start: \"a\"\nstart: \"b\"", corrupt, "line 2, column 1: 'start' is defined twice");
  refused("start: A\nA: \"a\"\n%import common.INT -> A", corrupt, "'A' is defined twice");
  refused("start \"a\"", corrupt, "column 7: expected ':' behind 'start'");
  refused("start: \"a", corrupt, "column 8: '\"' without its end in the line");
  refused("start: /a", corrupt, "column 8: '/' without its end in the line");
  refused("start: /(/", corrupt, "column 8: regular expression '(': '(' without ')'");
  refused("start: (\"a\"", corrupt, "column 8: a group without its end");
  refused("start: (\"a\"]", corrupt, "column 12: expected ')'");
  refused("start: \"a\"..\"bc\"", corrupt, "a range has one character at each end");
  refused("start: \"c\"..\"a\"", corrupt, "the lower one first");
  refused("start: \"a\"*?", corrupt, "a quantifier behind a quantifier");
  refused("start: ~3", corrupt, "a quantifier with nothing before it");
  refused("start: \"a\"~3..2", corrupt, "out of order");
  refused("start: A\nA: b\nb: \"x\"", corrupt,
          "line 2, column 4: rule 'b' in a terminal; terminals are made of terminals");
  refused("start: \"a\" ->", corrupt, "expected a name behind '->'");
  refused("start: X\n%import common.XYZ", corrupt,
          "line 2, column 16: common has no terminal 'XYZ'");
  refused("%nothing", corrupt, "expected %ignore or %import");
  const auto unsupported = ErrorCode::kUnsupported;
  refused("start: A\n%declare A", unsupported, "line 2, column 1: %declare");
  refused("%override start: \"a\"", unsupported, "%override; define the rule once");
  refused("%import python.NAME", unsupported, "%import of another module than common");
  refused("%import .mine (NAME)", unsupported, "%import of another module than common");
  refused("pair{x}: x \",\" x", unsupported, "template 'pair{...}'; write the rule out");
  refused("start: pair{\"a\"}", unsupported, "column 12: template 'pair{...}'");
  refused("start: /a b/x", unsupported, "flag 'x' of a regular expression; there are i and s");
  refused("start: /(?<=a)b/", unsupported, "column 8: regular expression '(?<=a)b': lookbehind");
  refused("start: \"a\"~2000000", ErrorCode::kResourceExhausted, "repeats more than");
  refused("start: " + std::string(200, '('), ErrorCode::kResourceExhausted, "nested more than 100");
}

}  // namespace
}  // namespace metier::grammar
