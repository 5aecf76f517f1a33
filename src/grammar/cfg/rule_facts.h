// grammar/cfg/rule_facts.h - what is known of rules before they are made automata.
#pragma once

#include <cstdint>
#include <vector>

#include "grammar/cfg/rule_body.h"

namespace metier::grammar {

// A repetition that needs more states than this is counted instead of being written out.
constexpr std::int64_t kMostRepeated = 512;

// By rule. Of rules that the root does not reach only `nullable` is known.
struct RuleFacts {
  std::vector<bool> nullable;       // has the empty text
  std::vector<bool> written_out;    // stands where it is called, instead of being called
  std::vector<std::int64_t> sizes;  // about as many states as its automaton has, at least
};

RuleFacts FactsOf(const RuleSet& rules);
// Of a body, by what is known of the rules in it.
bool IsNullable(const RuleBody& body, const std::vector<bool>& nullable);
std::int64_t SizeOf(const RuleBody& body, const RuleFacts& facts);

}  // namespace metier::grammar
