// grammar/cfg/cfg.h - a context-free grammar in the form in which its next byte can be told.
//
// It has parts: rules, and repetitions that are counted. A rule is a deterministic automaton over
// bytes in which parts can be called. Rules that are in no circle of calls are written out where
// they are called, and all that stands between two calls is one automaton: a frame (machine.h)
// comes on the stack where a grammar nests, and nowhere else.
//
// What holds of the parts:
//  - a part that is called reads at least one byte: where a rule may be empty, the caller's
//    automaton goes on without the call as well;
//  - no part begins with itself, by any way (left_recursion.h): one that another begins with has
//    the higher number;
//  - every part has a text, and every state a way to its end.
#pragma once

#include <bitset>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "grammar/automata/dfa.h"
#include "grammar/cfg/rule_body.h"

namespace metier::grammar {

struct CfgLimits {
  std::size_t max_text_bytes = 1 << 18;  // of a grammar as it is written
  std::size_t max_rules = 1 << 12;
  // States of one rule's automaton; work of all of them together.
  AutomatonLimits automaton = {.max_states = 1 << 14, .max_work = 1 << 24};
  std::int64_t max_states = 1 << 17;  // of all automata
  // How many parts may stand in one another in a text. What nests more deeply cannot be written.
  std::uint16_t most_nested = 300;
};

struct CfgCall {
  std::int32_t part = 0;
  std::int32_t behind = 0;  // the state when it is complete
};

struct CfgPart {
  Dfa body;  // empty: a counted repetition
  // Of each state of the body that text leads to: the calls that may come here, and how many parts
  // have to stand in one another until the end, at least.
  std::vector<std::vector<CfgCall>> calls;
  std::vector<std::uint16_t> heights;

  // A counted repetition: `least` to `most` texts of a part.
  std::int32_t item = -1;
  std::int32_t least = 0;
  std::int32_t most = 0;

  std::bitset<256> first;    // the bytes that it can begin with
  std::uint16_t height = 0;  // of its lowest text
};

struct Cfg {
  std::vector<CfgPart> parts;
  std::int32_t root = 0;
  std::uint16_t most_nested = 0;
};

// kDataCorrupt: a rule that no text is of (it has no end), by name. kResourceExhausted: an
// automaton or their sum is over the limits, or a text cannot be as low as limits.most_nested.
// kUnsupported: left recursion that cannot be taken out, by the names of its circle.
Result<Cfg> CompileRules(const RuleSet& rules, const CfgLimits& limits = {});

}  // namespace metier::grammar
