#include "grammar/cfg/part_maker.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "grammar/cfg/calls.h"

namespace metier::grammar {
namespace {

// An automaton of so many states calls further rules, however small.
constexpr std::size_t kManyStatesWrittenOut = 1 << 14;
// What an automaton with rules written out may cost; beyond that they are called.
constexpr AutomatonLimits kWrittenOutLimits = {.max_states = 1 << 11, .max_work = 1 << 19};

}  // namespace

PartMaker::PartMaker(const RuleSet& rules, const CfgLimits& limits, std::int64_t& work)
    : rules_(rules), limits_(limits), work_(work), facts_(FactsOf(rules)) {}

std::int32_t PartMaker::PartOf(const RuleBody& body) {
  const auto [found, fresh] = part_of_.try_emplace(&body, static_cast<std::int32_t>(parts_.size()));
  if (!fresh) return found->second;
  parts_.push_back({.name = name_});
  bodies_.push_back(&body);
  return found->second;
}

std::int32_t PartMaker::PartOf(std::int32_t rule) {
  const NamedRule& named = rules_.rules[static_cast<std::size_t>(rule)];
  const std::int32_t part = PartOf(named.body);
  parts_[static_cast<std::size_t>(part)].name = named.name;
  return part;
}

std::int32_t PartMaker::Counted(std::int32_t item, std::int64_t least, std::int64_t most) {
  const auto [found, fresh] =
      counted_.try_emplace({item, least, most}, static_cast<std::int32_t>(parts_.size()));
  if (!fresh) return found->second;
  parts_.push_back({.name = name_,
                    .item = item,
                    .least = static_cast<std::int32_t>(least),
                    .most = static_cast<std::int32_t>(most)});
  bodies_.push_back(nullptr);
  return found->second;
}

Status PartMaker::AddPartCall(Nfa& nfa, std::int32_t part, std::int32_t from, std::int32_t to) {
  if (part >= kMostParts) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("the grammar has more than {} parts, the limit", kMostParts));
  }
  AddCall(nfa, part, from, to);
  return Ok();
}

Status PartMaker::AddRule(Nfa& nfa, std::int32_t rule, std::int32_t from, std::int32_t to) {
  const auto index = static_cast<std::size_t>(rule);
  if (calls_ == Calls::kSome && facts_.written_out[index] && nfa.size() < kManyStatesWrittenOut)
    return AddBody(nfa, rules_.rules[index].body, from, to);
  if (facts_.nullable[index]) nfa.AddFree(from, to);
  return AddPartCall(nfa, PartOf(rule), from, to);
}

// `least` to `most` of a part that is called: so many times at most, however often the part may be
// empty.
Status PartMaker::AddCounted(Nfa& nfa, const RuleBody& body, std::int32_t from, std::int32_t to) {
  const RuleBody& part = body.parts.front();
  const bool empty = IsNullable(part, facts_.nullable);
  const std::int64_t least = empty ? 0 : body.least;
  const std::int32_t item = part.kind == RuleBody::Kind::kRule ? PartOf(part.rule) : PartOf(part);
  if (least == 0) nfa.AddFree(from, to);
  if (body.most != RuleBody::kEndless)
    return AddPartCall(nfa, Counted(item, least, body.most), from, to);
  const std::int32_t loop = nfa.AddState();
  if (least == 0) {
    nfa.AddFree(from, loop);
  } else {
    METIER_TRY(AddPartCall(nfa, Counted(item, least, least), from, loop));
  }
  METIER_TRY(AddPartCall(nfa, item, loop, loop));
  nfa.AddFree(loop, to);
  return Ok();
}

Status PartMaker::AddRepeat(Nfa& nfa, const RuleBody& body, std::int32_t from, std::int32_t to) {
  const RuleBody& part = body.parts.front();
  const bool endless = body.most == RuleBody::kEndless;
  const std::int64_t times = endless ? body.least : body.most;
  if (times > 1 && times * SizeOf(part, facts_) > kMostRepeated)
    return AddCounted(nfa, body, from, to);
  std::int32_t state = from;
  for (std::int64_t i = 0; i < times; ++i) {
    if (i >= body.least) nfa.AddFree(state, to);
    const std::int32_t next = nfa.AddState();
    METIER_TRY(AddBody(nfa, part, state, next));
    state = next;
  }
  if (endless) {
    const std::int32_t loop = nfa.AddState();
    nfa.AddFree(state, loop);
    METIER_TRY(AddBody(nfa, part, loop, loop));
    state = loop;
  }
  nfa.AddFree(state, to);
  return Ok();
}

Status PartMaker::AddBody(Nfa& nfa, const RuleBody& body, std::int32_t from, std::int32_t to) {
  switch (body.kind) {
    case RuleBody::Kind::kSet: return nfa.AddSet(body.set, from, to, limits_.automaton);
    case RuleBody::Kind::kLanguage: nfa.AddDfa(*body.language, from, to); return Ok();
    case RuleBody::Kind::kRule: return AddRule(nfa, body.rule, from, to);
    case RuleBody::Kind::kRepeat: return AddRepeat(nfa, body, from, to);
    case RuleBody::Kind::kChoice:
      for (const RuleBody& part : body.parts) METIER_TRY(AddBody(nfa, part, from, to));
      return Ok();
    case RuleBody::Kind::kSequence: break;
  }
  std::int32_t state = from;
  for (const RuleBody& part : body.parts) {
    const std::int32_t next = nfa.AddState();
    METIER_TRY(AddBody(nfa, part, state, next));
    state = next;
  }
  nfa.AddFree(state, to);
  return Ok();
}

Result<Dfa> PartMaker::Automaton(const RuleBody& body, Calls calls) {
  calls_ = calls;
  AutomatonLimits limits = calls == Calls::kSome ? kWrittenOutLimits : limits_.automaton;
  limits.max_work = std::min(limits.max_work, work_);
  Nfa nfa(Spelling::kText);
  const std::int32_t start = nfa.AddState();
  const std::int32_t end = nfa.AddState();
  nfa.Accept(end, 0);
  METIER_TRY(AddBody(nfa, body, start, end));
  std::int64_t work = 0;
  Result<Dfa> dfa = nfa.Determinise(start, limits, &work);
  work_ -= work;
  return dfa;
}

Result<std::vector<RawPart>> PartMaker::Run() {
  PartOf(rules_.root);
  std::int64_t states = 0;
  for (std::size_t at = 0; at < parts_.size(); ++at) {
    const RuleBody* const body = bodies_[at];
    if (body == nullptr) continue;
    name_ = parts_[at].name;
    Result<Dfa> made = Automaton(*body, Calls::kSome);
    if (!made.ok()) made = Automaton(*body, Calls::kAll);
    if (!made.ok()) return std::move(made).error().With(fmt::format("rule '{}'", name_));
    states += made->states();
    if (states > limits_.max_states) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("rule '{}': the automata of the grammar's rules have more than {} "
                               "states together, the limit",
                               name_, limits_.max_states));
    }
    parts_[at].body = std::move(*made);
  }
  return std::move(parts_);
}

}  // namespace metier::grammar
