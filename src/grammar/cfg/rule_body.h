// grammar/cfg/rule_body.h - context-free grammars as people write them: rules with names, and what
// each is made of. Every notation (ebnf/) is read into this one form.
//
// Text is read character by character: there is no tokenizer in between that would prefer the
// longest word, so a rule means every text that can be cut into its parts in any way.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/automata/dfa.h"
#include "grammar/regex/code_points.h"
#include "grammar/regex/pattern.h"

namespace metier::grammar {

// A pattern (regex/pattern.h) in which rules can be called.
struct RuleBody {
  enum class Kind {
    kSet,       // one character of `set`
    kLanguage,  // a text of `language`
    kSequence,  // all parts, one behind the other; none: the empty text
    kChoice,    // one of the parts; none: nothing at all
    kRepeat,    // the one part, `least` to `most` times
    kRule,      // a text of another rule
  };
  static constexpr std::int64_t kEndless = -1;

  Kind kind = Kind::kSequence;
  CodePoints set = {};
  std::shared_ptr<const Dfa> language = {};
  std::vector<RuleBody> parts = {};
  std::int64_t least = 0;
  std::int64_t most = kEndless;
  std::int32_t rule = -1;

  static RuleBody Set(CodePoints set);
  static RuleBody Literal(std::string_view text);  // UTF-8
  static RuleBody Sequence(std::vector<RuleBody> parts);
  static RuleBody Choice(std::vector<RuleBody> parts);
  static RuleBody Repeat(RuleBody part, std::int64_t least, std::int64_t most = kEndless);
  static RuleBody Rule(std::int32_t rule);
};

// The texts that are what a pattern says, whole. Where the pattern looks around (^ and $ that are
// not at its ends, lookaheads) it becomes one automaton. kUnsupported, kResourceExhausted:
// LanguageOf.
Result<RuleBody> WholePattern(const Pattern& pattern, const AutomatonLimits& limits);

struct NamedRule {
  std::string name;
  RuleBody body;
};
struct RuleSet {
  std::vector<NamedRule> rules;
  std::int32_t root = 0;
};

}  // namespace metier::grammar
