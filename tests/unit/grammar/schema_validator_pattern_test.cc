// Regular expressions: ECMA-262 as PCRE2 runs it.
#include <chrono>
#include <string>

#include "grammar/validator/ecma_regex.h"
#include "grammar/validator/ecma_translate.h"
#include "support/fixtures.h"

namespace metier::grammar::validator {
namespace {

// "yes", "no" or the error.
std::string MatchOf(const std::string& pattern, const std::string& text) {
  const auto regex = EcmaRegex::Compile(pattern);
  if (!regex.ok()) return regex.error().message();
  const auto matches = regex->Matches(text);
  if (!matches.ok()) return matches.error().message();
  return *matches ? "yes" : "no";
}

struct MatchCase {
  const char* pattern;
  const char* text;
  const char* matches;
};

TEST(EcmaRegex, DialectsThatDifferAreTranslated) {
  const MatchCase cases[] = {
      {"b", "abc", "yes"},  // anywhere
      {"^abc$", "abc\n", "no"},
      {"^a$", "a\nb", "no"},
      {"^.$", "\n", "no"},
      {"^.$", "\u2028", "no"},
      {"^.$", "\u0085", "yes"},
      {"^\\d$", "٣", "no"},
      {"^\\w$", "é", "no"},
      {"^\\W$", "é", "yes"},
      {"^\\s$", "\ufeff", "yes"},
      {"^\\s$", "\u180e", "no"},
      {"^[\\s]$", "\u00a0", "yes"},
      {"^[^\\S]$", "\u00a0", "yes"},
      {"^[\\D]$", "5", "no"},
      {"^[\\W]$", "_", "no"},
      {"\\bé", "é", "no"},
      {"^[]$", "", "no"},
      {"[]*", "", "yes"},
      {"^[^]$", "\n", "yes"},
      {"^[[]$", "[", "yes"},
      {"^[a[:digit:]]$", "5", "no"},
      {"^[a[:digit:]]$", "d]", "yes"},
      {"^\\cJ$", "\n", "yes"},
      {"^[\\b]$", "\b", "yes"},
      {"^\\x41\\u0042\\u{43}$", "ABC", "yes"},
      {"^\\ud83d\\udc32$", "🐲", "yes"},
      {"^[\\ud83d\\udc32-\\u{1f433}]$", "🐳", "yes"},
      {"^\\ud83d", "🐲", "no"},
      {"^[\\ud800-\\udfff]$", "a", "no"},
      {"^[\\ud7ff-\\ue000]{2}$", "\ud7ff\ue000", "yes"},
      {"^\\p{Lu}\\p{Letter}$", "Éa", "yes"},
      {"^\\p{Script=Greek}+$", "αβ", "yes"},
      {"^\\p{sc=Greek}$", "a", "no"},
      {"^[\\p{gc=Nd}_]+$", "٣_", "yes"},
      {"^\\P{ASCII}$", "a", "no"},
      {"^\\p{Emoji_Presentation}$", "🐲", "yes"},
      {"(a)|\\1b", "b", "yes"},  // a group that took no part matches nothing
      {"^(?:\\2(a)|(b))*$", "ab", "yes"},
      {"^(?<year>\\d{4})-\\k<year>$", "2024-2024", "yes"},
      {"^(?<é$>x)\\k<é$>$", "xx", "yes"},
      {"(?<=\\$)\\d", "$5", "yes"},
      {"(?<!a)b", "ab", "no"},
      {"^a(?=b)(?!c)b$", "ab", "yes"},
      {"^a{2}?$", "aa", "yes"},
      {"^a{,2}$", "a{,2}", "yes"},  // no repeat
      {"^{}]$", "{}]", "yes"},
      {"^[\\w-.]+$", "a-b.c", "yes"},
      {"^[%-\\w]$", "-", "yes"},
      {"^\\-\\@\\#\\ $", "-@# ", "yes"},
      {"^[a-]$", "-", "yes"},
      {"^(?i:a)b$", "Ab", "yes"},
      {"^(?i:a)b$", "AB", "no"},
      {"^(?s:.).$", "\n\n", "no"},
      {"(?m:^b$)", "a\nb\nc", "yes"},
      {"(?-m:^b)", "a\nb", "no"},
      {"a|", "", "yes"},
      {"#x ", "#x ", "yes"},
  };
  for (const MatchCase& tested : cases) {
    EXPECT_EQ(MatchOf(tested.pattern, tested.text), tested.matches)
        << tested.pattern << " on " << tested.text;
  }
}

TEST(EcmaRegex, OtherDialectsAreRefused) {
  const char* cases[][2] = {
      {"\\a", "byte 1: \\a is no escape of ECMA-262"},
      {"\\A", "\\A is no escape"},
      {"a\\Z", "\\Z is no escape"},
      {"\\Qa", "\\Q is no escape"},
      {"\\h", "\\h is no escape"},
      {"[\\e]", "\\e is no escape"},
      {"(?P<n>a)", "byte 1: (? begins no group of ECMA-262"},
      {"(?#c)a", "(? begins no group"},
      {"(?i)a", "(? begins no group"},
      {"(?>a)", "(? begins no group"},
      {"(?|a)", "(? begins no group"},
      {"(?ii:a)", "(? begins no group"},
      {"(?-:a)", "(? begins no group"},
      {"(?", "(? begins no group"},
      {"a++", "byte 2: nothing to repeat"},
      {"*a", "byte 0: nothing to repeat"},
      {"^*", "nothing to repeat"},
      {"(?=a)*", "nothing to repeat"},
      {"a|{2}", "nothing to repeat"},
      {"\\b+", "nothing to repeat"},
      {"(a", "byte 0: a group that does not end"},
      {"a)", "byte 1: a closing parenthesis"},
      {"[a", "a class that does not end"},
      {"[a-", "a class that does not end"},
      {"[z-a]", "whose end precedes its beginning"},
      {"a{2,1}", "a repeat of at most less than at least"},
      {"\\1", "a reference to group 1 of 0"},
      {"(a)\\2", "a reference to group 2 of 1"},
      {"\\k<n>", "\\k without a group"},
      {"\\k", "\\k without a group"},
      {"(?<n>a)(?<n>b)", "two groups are named 'n'"},
      {"(?<1>a)", "is no identifier"},
      {"(?<n", "is no identifier"},
      {"\\", "a backslash at the end"},
      {"\\c1", "\\c needs a letter"},
      {"\\x1", "\\x needs two"},
      {"\\u12", "\\u needs four"},
      {"\\u{}", "\\u{} needs"},
      {"\\u{110000}", "above 10FFFF"},
      {"\\01", "octal escapes"},
      {"\\p", "needs a property in braces"},
      {"\\pL", "needs a property in braces"},
      {"\\p{Nonsense}", "unknown property {Nonsense}"},
      {"\\p{Greek}", "unknown property {Greek}"},
      {"\\p{gc=Greek}", "unknown property {gc=Greek}"},
      {"\xff", "byte 0: not UTF-8"},
  };
  for (const auto& [pattern, text] : cases) {
    EXPECT_ERROR(EcmaRegex::Compile(pattern), ErrorCode::kInvalidArgument, text);
    EXPECT_FALSE(IsEcmaPattern(pattern)) << pattern;
  }
}

TEST(EcmaRegex, WhatCannotBeRunIsRefusedAsSuch) {
  EXPECT_ERROR(EcmaRegex::Compile("(?<=a+)b"), ErrorCode::kUnsupported,
               "cannot be run: lookbehind");
  EXPECT_ERROR(EcmaRegex::Compile("a{70000}"), ErrorCode::kUnsupported, "more than 65535");
  EXPECT_ERROR(EcmaRegex::Compile("\\p{sc=Klingon}"), ErrorCode::kUnsupported, "unknown property");
  EXPECT_ERROR(EcmaRegex::Compile("(?:(?:a{999}){999}){999}"), ErrorCode::kUnsupported,
               "too large");
  EXPECT_ERROR(EcmaRegex::Compile(std::string(500, '(') + std::string(500, ')')),
               ErrorCode::kUnsupported, "nested");
  EXPECT_ERROR(EcmaRegex::Compile(std::string(100'000, 'a')), ErrorCode::kResourceExhausted,
               "pattern of 100000 bytes");
  EXPECT_TRUE(IsEcmaPattern("(?<=a+)b"));
}

TEST(EcmaRegex, HostilePatternsEndWithAnError) {
  const auto begin = std::chrono::steady_clock::now();
  const std::string text = std::string(5000, 'a') + "!";
  for (const char* pattern :
       {"^(a+)+$", "^(a|a)*$", "^(?:a*)*$", "(x+x+)+y|^(.*,){20}P|^(a|aa)+$"}) {
    ASSERT_OK_AND_ASSIGN(const EcmaRegex regex, EcmaRegex::Compile(pattern));
    EXPECT_ERROR(regex.Matches(text), ErrorCode::kResourceExhausted, "gave up on a text of 5001");
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

TEST(EcmaRegex, LongTextsAreFine) {
  const std::string text(300'000, 'a');
  EXPECT_EQ(MatchOf("^(?:[a-z]{4})*$", text), "yes");
  EXPECT_EQ(MatchOf("^(?:a|b)*$", text), "yes");
  EXPECT_EQ(MatchOf("^[a-z]+$", text), "yes");
}

TEST(EcmaRegex, TextThatIsNotUtf8IsAnError) {
  ASSERT_OK_AND_ASSIGN(const EcmaRegex regex, EcmaRegex::Compile("a"));
  EXPECT_ERROR(regex.Matches("a\xff"), ErrorCode::kDataCorrupt, "UTF-8");
}

}  // namespace
}  // namespace metier::grammar::validator
