// Random grammars against a recogniser that shares nothing with the machine, and hostile ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "grammar/configurations.h"
#include "grammar/grammar.h"
#include "support/fixtures.h"

namespace metier::grammar {
namespace {

struct Term {
  enum class Kind { kText, kSequence, kChoice, kRepeat, kRule } kind = Kind::kText;
  std::string text;
  std::vector<Term> parts;
  int least = 0;
  int most = -1;
  std::size_t rule = 0;
};

Term RandomTerm(Rng& rng, int depth, std::size_t rules) {
  constexpr std::string_view kTexts[] = {"a", "b", "ab", "", "ba", "a", "b"};
  Term term;
  switch (depth == 0 ? rng.Below(3) : 1 + rng.Below(7)) {
    case 0:
    case 1: term.text = kTexts[rng.Below(std::size(kTexts))]; return term;
    case 2:
    case 3:
      term.kind = Term::Kind::kRule;
      term.rule = rng.Below(rules);
      return term;
    case 4:
    case 5: term.kind = Term::Kind::kSequence; break;
    case 6: term.kind = Term::Kind::kChoice; break;
    default: {
      constexpr std::pair<int, int> kTimes[] = {{0, -1}, {1, -1}, {0, 1},   {2, 2},
                                                {1, 3},  {2, -1}, {0, 900}, {3, 700}};
      term.kind = Term::Kind::kRepeat;
      std::tie(term.least, term.most) = kTimes[rng.Below(std::size(kTimes))];
      term.parts.push_back(RandomTerm(rng, depth - 1, rules));
      return term;
    }
  }
  for (int i = 0; i < 2; ++i) term.parts.push_back(RandomTerm(rng, depth - 1, rules));
  return term;
}

std::string Written(const Term& term) {
  switch (term.kind) {
    case Term::Kind::kText: return "\"" + term.text + "\"";
    case Term::Kind::kRule: return term.rule == 0 ? "root" : "r" + std::to_string(term.rule);
    case Term::Kind::kSequence: return Written(term.parts[0]) + " " + Written(term.parts[1]);
    case Term::Kind::kChoice:
      return "(" + Written(term.parts[0]) + " | " + Written(term.parts[1]) + ")";
    case Term::Kind::kRepeat: break;
  }
  return "(" + Written(term.parts[0]) + "){" + std::to_string(term.least) + "," +
         (term.most < 0 ? "" : std::to_string(term.most)) + "}";
}

// Where texts of each rule can end, by where they begin: the least solution, by going round until
// nothing is added.
class Recogniser {
 public:
  using Ends = std::uint32_t;  // positions, as bits

  Recogniser(const std::vector<Term>& rules, std::string_view text) : text_(text) {
    ends_.assign(rules.size(), std::vector<Ends>(text.size() + 1));
    for (bool grows = true; grows;) {
      grows = false;
      for (std::size_t rule = 0; rule < rules.size(); ++rule) {
        for (std::size_t from = 0; from <= text.size(); ++from) {
          const Ends now = EndsOf(rules[rule], from);
          grows = grows || now != ends_[rule][from];
          ends_[rule][from] = now;
        }
      }
    }
  }

  bool Accepts() const { return (ends_[0][0] >> text_.size() & 1) != 0; }

 private:
  Ends Behind(const Term& term, Ends from) const {
    Ends ends = 0;
    for (std::size_t at = 0; at <= text_.size(); ++at)
      if ((from >> at & 1) != 0) ends |= EndsOf(term, at);
    return ends;
  }

  Ends EndsOf(const Term& term, std::size_t from) const {
    switch (term.kind) {
      case Term::Kind::kText:
        return text_.substr(from).starts_with(term.text) ? Ends{1} << (from + term.text.size()) : 0;
      case Term::Kind::kRule: return ends_[term.rule][from];
      case Term::Kind::kSequence: return Behind(term.parts[1], EndsOf(term.parts[0], from));
      case Term::Kind::kChoice: return EndsOf(term.parts[0], from) | EndsOf(term.parts[1], from);
      case Term::Kind::kRepeat: break;
    }
    // More times than there are positions come to nothing new.
    Ends now = Ends{1} << from;
    Ends all = term.least == 0 ? now : 0;
    for (int time = 1; time <= 40 && (term.most < 0 || time <= term.most); ++time) {
      now = Behind(term.parts[0], now);
      if (time >= term.least) all |= now;
    }
    return all;
  }

  std::string_view text_;
  std::vector<std::vector<Ends>> ends_;
};

bool HasText(const Term& term, const std::vector<bool>& rules) {
  const auto has = [&](const Term& part) { return HasText(part, rules); };
  switch (term.kind) {
    case Term::Kind::kText: return true;
    case Term::Kind::kRule: return rules[term.rule];
    case Term::Kind::kSequence: return std::ranges::all_of(term.parts, has);
    case Term::Kind::kChoice: return std::ranges::any_of(term.parts, has);
    case Term::Kind::kRepeat: break;
  }
  return term.least == 0 || has(term.parts[0]);
}

bool AllHaveTexts(const std::vector<Term>& rules) {
  std::vector<bool> known(rules.size());
  for (std::size_t round = 0; round < rules.size(); ++round)
    for (std::size_t i = 0; i < rules.size(); ++i) known[i] = known[i] || HasText(rules[i], known);
  return std::ranges::all_of(known, [](bool one) { return one; });
}

// Whether a text can go on from here to one of the grammar, looking at so many places.
bool CanEnd(Configurations& configurations, Configurations::Id from) {
  std::deque<Configurations::Id> open = {from};
  std::set<Configurations::Id> seen = {from};
  while (!open.empty() && seen.size() < 20000) {
    const Configurations::Id at = open.front();
    open.pop_front();
    if (configurations.Complete(at)) return true;
    for (const char byte : {'a', 'b'}) {
      const Configurations::Id next = configurations.Next(at, static_cast<std::uint8_t>(byte));
      if (next != Configurations::kNone && seen.insert(next).second) open.push_back(next);
    }
  }
  return false;
}

std::vector<std::string> TextsUpTo(std::size_t length) {
  std::vector<std::string> texts = {""};
  for (std::size_t at = 0; at < texts.size() && texts[at].size() < length; ++at) {
    texts.push_back(texts[at] + "a");
    texts.push_back(texts[at] + "b");
  }
  return texts;
}

// Left recursion, rules in circles, repetitions of what may be empty: whatever comes by chance.
TEST(CfgProperty, RandomGrammarsAcceptWhatARecogniserDoes) {
  Rng rng(17);
  const std::vector<std::string> texts = TextsUpTo(6);
  int compiled = 0;
  int accepted = 0;
  int refused = 0;
  for (int i = 0; i < 500; ++i) {
    std::vector<Term> rules;
    const std::size_t count = 1 + rng.Below(4);
    while (rules.size() < count) rules.push_back(RandomTerm(rng, 3, count));
    std::string written;
    for (std::size_t rule = 0; rule < count; ++rule) {
      const Term name{.kind = Term::Kind::kRule, .rule = rule};
      written += Written(name) + " ::= " + Written(rules[rule]) + "\n";
    }
    SCOPED_TRACE(written);
    const Result<Grammar> grammar = Grammar::OfGbnf(written);
    if (!grammar.ok()) {
      ++refused;
      if (grammar.error().code() == ErrorCode::kDataCorrupt) {
        ASSERT_FALSE(AllHaveTexts(rules)) << grammar.error().message();
      } else {
        ASSERT_EQ(grammar.error().code(), ErrorCode::kUnsupported) << grammar.error().message();
        ASSERT_NE(grammar.error().message().find("a repetition that is counted"),
                  std::string::npos);
      }
      continue;
    }
    ++compiled;
    const std::unique_ptr<Machine> machine = grammar->NewMachine();
    Configurations configurations(*machine);
    for (const std::string& text : texts) {
      Configurations::Id at = configurations.start();
      for (const char byte : text)
        if (at != Configurations::kNone)
          at = configurations.Next(at, static_cast<std::uint8_t>(byte));
      const bool is_one = Recogniser(rules, text).Accepts();
      ASSERT_EQ(at != Configurations::kNone && configurations.Complete(at), is_one) << text;
      accepted += is_one ? 1 : 0;
      const bool asked = at != Configurations::kNone && text.size() == 1;
      ASSERT_TRUE(!asked || CanEnd(configurations, at)) << text;
    }
  }
  EXPECT_GT(compiled, 180);
  EXPECT_GT(accepted, 1500);
  EXPECT_LT(refused, 320);
}

// Direct, through other rules, behind what may be empty, ambiguous.
TEST(CfgProperty, LeftRecursionIsTakenOut) {
  const auto accepts = [](const std::string& text, const std::string& grammar) {
    const Result<Grammar> made = Grammar::OfGbnf(grammar);
    EXPECT_OK(made);
    return made.ok() && made->Accepts(text);
  };
  const std::string sum = "root ::= root \"+\" n | n\nn ::= [0-9] | \"(\" root \")\"";
  EXPECT_TRUE(accepts("1+2+(3+4)", sum));
  EXPECT_FALSE(accepts("1+", sum));
  const std::string circle =
      "root ::= a\na ::= b \"x\" | \"p\"\nb ::= c \"y\"\nc ::= a \"z\" | \"q\"";
  EXPECT_TRUE(accepts("pzyxzyx", circle));
  EXPECT_TRUE(accepts("qyx", circle));
  EXPECT_FALSE(accepts("qy", circle));
  const std::string hidden = "root ::= e root \"a\" | \"b\"\ne ::= \"x\"?";
  EXPECT_TRUE(accepts("xxbaa", hidden));
  EXPECT_TRUE(accepts("baa", hidden));
  EXPECT_FALSE(accepts("xxba", "root ::= \"\" root \"a\" | \"b\""));
  const std::string ambiguous = "root ::= root root | \"a\" | \"\"";
  EXPECT_TRUE(accepts("", ambiguous));
  EXPECT_TRUE(accepts("aaaaaaaa", ambiguous));
  EXPECT_FALSE(accepts("aab", ambiguous));
  EXPECT_TRUE(accepts("a", "root ::= root | \"a\""));
}

TEST(CfgProperty, WhatHasNoEndIsRefusedByName) {
  const auto refused = [](const std::string& grammar, ErrorCode code, const std::string& why) {
    SCOPED_TRACE(grammar);
    EXPECT_ERROR(Grammar::OfGbnf(grammar), code, why);
  };
  refused("root ::= \"a\" loop\nloop ::= \"x\" loop", ErrorCode::kDataCorrupt,
          "rule 'loop': no text is one of it, because it has no end");
  refused("root ::= root", ErrorCode::kDataCorrupt, "rule 'root': no text is one of it");
  refused("root ::= a | \"x\"\na ::= b \"y\"\nb ::= a", ErrorCode::kDataCorrupt, "no text is one");
  refused("root ::= [^\\x00-\\U0010FFFF]", ErrorCode::kDataCorrupt, "rule 'root'");
  refused("root ::= (root \"b\"){0,9000} \"a\"", ErrorCode::kUnsupported,
          "left recursion 'root' -> 'root' through a repetition that is counted");
  refused("root ::= [ab]* \"a\" [ab]{20}", ErrorCode::kResourceExhausted,
          "rule 'root': an automaton has more than 16384 states");
  std::string deep = "root ::= r0\n";
  for (int i = 0; i < 400; ++i) {
    const std::string own = "r" + std::to_string(i);
    deep += own + " ::= \"(\" " + own + " \")\" | \"[\" r" + std::to_string(i + 1) + " \"]\"\n";
  }
  refused(deep + "r400 ::= \"c\"", ErrorCode::kResourceExhausted, "rules deep, the limit is 300");
}

double SecondsOf(const Grammar& grammar, const std::string& text, bool accepted) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(grammar.Accepts(text), accepted);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// What grows without bound elsewhere: counts, nesting, ways to read one text.
TEST(CfgProperty, HostileGrammarsCostLittle) {
  constexpr double kMostSeconds = 60;  // with sanitizers, on a machine under load; alone: under one
  struct Hostile {
    std::string grammar;
    std::string text;
    bool accepted;
  };
  std::string doubling = "root ::= r0 \"!\"\n";
  for (int i = 0; i < 40; ++i) {
    const std::string number = std::to_string(i);
    const std::string next = "r" + std::to_string(i + 1);
    doubling += "r" + number + " ::= " + next + " \"x\"? | " + next + " \"y\"? | \"(\" r0 \")\"\n";
  }
  doubling += "r40 ::= \"a\"\n";
  const std::string a200(200, 'a');
  const Hostile hostile[] = {
      {"root ::= \"a\"{0,100000}", std::string(20000, 'a'), true},
      {"root ::= \"a\"{100000}", a200, false},
      {"root ::= ((\"a\"{0,1000}){0,1000}){0,1000}", a200, true},
      {"root ::= (\"a\"{2,1000} | \"b\"){0,1000}", a200 + "bb", true},
      {"root ::= ((((\"a\"?)*)*)*)* \"b\"", a200 + "b", true},
      {"root ::= root root | root root root | \"a\"", a200, true},
      {"root ::= s \"b\"\ns ::= \"a\" s \"a\"? | \"\"", a200 + "b", true},
      {"root ::= \"(\" root \")\" | \"\"", std::string(290, '(') + std::string(290, ')'), true},
      {"root ::= \"(\" root \")\" | \"\"", std::string(400, '('), false},
      {"root ::= \"a\" root | \"b\"", std::string(20000, 'a') + "b", true},
      {"root ::= root \"a\" | \"b\"", "b" + std::string(20000, 'a'), true},
      {doubling, "((ayx))xxyyxx!", true},
  };
  for (const Hostile& one : hostile) {
    SCOPED_TRACE(one.grammar.substr(0, 80));
    ASSERT_OK_AND_ASSIGN(const Grammar grammar, Grammar::OfGbnf(one.grammar));
    EXPECT_LT(SecondsOf(grammar, one.text, one.accepted), kMostSeconds);
  }
}

// The deepest nesting can still be closed: no text leads where it cannot end.
TEST(CfgProperty, NestingEndsAtTheLimit) {
  ASSERT_OK_AND_ASSIGN(const Grammar grammar,
                       Grammar::OfGbnf("root ::= \"(\" root \")\" | \"x\"", {.most_nested = 5}));
  EXPECT_TRUE(grammar.Accepts("(((((x)))))"));
  EXPECT_EQ(grammar.Judge("((((((x").bytes, 5U);
}

}  // namespace
}  // namespace metier::grammar
