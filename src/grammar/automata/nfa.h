// grammar/automata/nfa.h - languages put together: nondeterministic automata over bytes.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/result.h"
#include "grammar/automata/dfa.h"
#include "grammar/regex/pattern.h"

namespace metier::grammar {

// How a character stands in the bytes.
enum class Spelling {
  kText,  // its UTF-8
  // As what stands between the quotes of a JSON string, in the one spelling that needs no
  // thinking: `"`, `\` and controls as their short escapes, or \u00XX where they have none; all
  // other characters as they are. What could be written in several ways is written in this one, so
  // two languages have a text in common when they have its bytes in common.
  kJsonString,
};

class Nfa {
 public:
  explicit Nfa(Spelling spelling) : spelling_(spelling) {}

  struct Edge {
    std::uint8_t first = 0;
    std::uint8_t last = 0;
    std::int32_t to = 0;
  };
  struct State {
    std::vector<Edge> edges;
    std::vector<std::int32_t> free;      // without reading anything
    std::vector<std::int32_t> at_begin;  // the same, before anything was read
    std::vector<std::int32_t> at_end;    // the same, when nothing comes
    Dfa::Label label = -1;               // accepts
  };

  std::int32_t AddState();
  void AddEdge(std::int32_t from, std::uint8_t first, std::uint8_t last, std::int32_t to);
  void AddFree(std::int32_t from, std::int32_t to) { at(from).free.push_back(to); }
  void Accept(std::int32_t state, Dfa::Label label) { at(state).label = label; }

  // Adds the language between two states. kUnsupported: a lookahead (language.h takes some out
  // before). kResourceExhausted.
  Status AddPattern(const Pattern& pattern, std::int32_t from, std::int32_t to,
                    const AutomatonLimits& limits);
  Status AddSet(const CodePoints& set, std::int32_t from, std::int32_t to,
                const AutomatonLimits& limits);
  // A copy of the automaton, whose acceptance leads to `to`. Returns its first state: those of the
  // automaton follow by their numbers.
  std::int32_t AddDfa(const Dfa& dfa, std::int32_t from, std::int32_t to);

  std::size_t size() const { return states_.size(); }

  // kResourceExhausted. `work`, where given: what was done of limits.max_work is added to it.
  Result<Dfa> Determinise(std::int32_t start, const AutomatonLimits& limits,
                          std::int64_t* work = nullptr) const;

 private:
  State& at(std::int32_t state) { return states_[static_cast<std::size_t>(state)]; }
  Status AddRepeat(const Pattern& pattern, std::int32_t from, std::int32_t to,
                   const AutomatonLimits& limits);
  void AddUtf8(std::uint32_t first, std::uint32_t last, std::int32_t from, std::int32_t to);
  void AddEscape(std::uint32_t code, std::int32_t from, std::int32_t to);
  Status CheckStates(const AutomatonLimits& limits) const;

  Spelling spelling_;
  std::vector<State> states_;
  std::vector<std::pair<CodePoints, Dfa>> sets_;  // large ones, small again
};

}  // namespace metier::grammar
