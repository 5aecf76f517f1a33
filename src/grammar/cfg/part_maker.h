// grammar/cfg/part_maker.h - rules as parts (cfg.h): automata with calls, and counted repetitions.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "base/result.h"
#include "grammar/automata/nfa.h"
#include "grammar/cfg/cfg.h"
#include "grammar/cfg/rule_body.h"
#include "grammar/cfg/rule_facts.h"

namespace metier::grammar {

// A part under way: its calls are bytes (calls.h).
struct RawPart {
  std::string name;  // of the rule that it is, or is in
  Dfa body;
  std::int32_t item = -1;
  std::int32_t least = 0;
  std::int32_t most = 0;
};

class PartMaker {
 public:
  // Borrows both. `work` is what is left of it, for all parts together.
  PartMaker(const RuleSet& rules, const CfgLimits& limits, std::int64_t& work);

  // The root is the first. kResourceExhausted.
  Result<std::vector<RawPart>> Run();

 private:
  enum class Calls { kSome, kAll };  // whether small rules are written out

  std::int32_t PartOf(std::int32_t rule);
  std::int32_t PartOf(const RuleBody& body);
  std::int32_t Counted(std::int32_t item, std::int64_t least, std::int64_t most);

  Result<Dfa> Automaton(const RuleBody& body, Calls calls);
  Status AddBody(Nfa& nfa, const RuleBody& body, std::int32_t from, std::int32_t to);
  Status AddRule(Nfa& nfa, std::int32_t rule, std::int32_t from, std::int32_t to);
  Status AddRepeat(Nfa& nfa, const RuleBody& body, std::int32_t from, std::int32_t to);
  Status AddCounted(Nfa& nfa, const RuleBody& body, std::int32_t from, std::int32_t to);
  Status AddPartCall(Nfa& nfa, std::int32_t part, std::int32_t from, std::int32_t to);

  const RuleSet& rules_;
  const CfgLimits& limits_;
  std::int64_t& work_;
  RuleFacts facts_;
  Calls calls_ = Calls::kSome;
  std::string name_;  // of the rule that is made

  std::vector<RawPart> parts_;
  std::vector<const RuleBody*> bodies_;  // of each part; null: counted
  std::map<const RuleBody*, std::int32_t> part_of_;
  std::map<std::tuple<std::int32_t, std::int64_t, std::int64_t>, std::int32_t> counted_;
};

}  // namespace metier::grammar
