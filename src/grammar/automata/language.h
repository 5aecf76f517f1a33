// grammar/automata/language.h - the automaton of a pattern.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "grammar/automata/dfa.h"
#include "grammar/automata/nfa.h"
#include "grammar/regex/pattern.h"

namespace metier::grammar {

enum class Match {
  kWhole,     // the text is what the pattern says
  kAnywhere,  // it has a part that is: what JSON Schema's `pattern` means
};

// Accepts with label 0. Lookaheads may stand in the pattern's own sequence, or in one of its
// choices: there they are an intersection with what follows. kUnsupported: one elsewhere, by its
// place. kResourceExhausted: over the limits.
Result<Dfa> LanguageOf(const Pattern& pattern, Match match, Spelling spelling,
                       const AutomatonLimits& limits = {});

// Characters of the texts of an automaton in Spelling::kJsonString.
struct Lengths {
  std::int64_t least = 0;
  std::optional<std::int64_t> most;  // nothing: endless
};
// Requires that the automaton accepts something.
Lengths LengthsOf(const Dfa& dfa);
// Those of its texts that have at least so many characters, and at most. kResourceExhausted.
Result<Dfa> WithLengths(const Dfa& dfa, std::int64_t least, std::optional<std::int64_t> most,
                        const AutomatonLimits& limits = {});

}  // namespace metier::grammar
