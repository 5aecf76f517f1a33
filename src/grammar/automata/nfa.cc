#include "grammar/automata/nfa.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "text/tokenizer/unicode.h"

namespace metier::grammar {
namespace {

// A set of more ranges is made small by itself first: texts repeat the same few ends of bytes.
constexpr std::size_t kManyRanges = 8;

constexpr std::pair<char, char> kShortEscapes[] = {
    {'"', '"'}, {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'}, {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}};

CodePoints EscapedInJson() {
  CodePoints set = CodePoints::Of(0, 0x1F);
  set.Add('"', '"');
  set.Add('\\', '\\');
  return set;
}

// The states of a deterministic automaton, while it is made: sets of states of the other one.
class Determiniser {
 public:
  Determiniser(const std::vector<Nfa::State>& states, const AutomatonLimits& limits)
      : states_(states), limits_(limits), builder_(Classes()), seen_(states.size(), 0) {}

  Result<Dfa> Run(std::int32_t start) {
    StateOf(Closure({start}, &Nfa::State::at_begin));
    std::vector<std::vector<std::int32_t>> reached(static_cast<std::size_t>(builder_.classes()));
    for (std::size_t at = 0; at < sets_.size(); ++at) {
      if (static_cast<std::int64_t>(at) > limits_.max_states || work_ > limits_.max_work) {
        return Error(
            ErrorCode::kResourceExhausted,
            fmt::format("an automaton has more than {} states, the limit", limits_.max_states));
      }
      for (const std::int32_t state : sets_[at])
        for (const Nfa::Edge& edge : Of(state).edges)
          for (int c = builder_.ClassOf(edge.first); c <= builder_.ClassOf(edge.last); ++c)
            reached[static_cast<std::size_t>(c)].push_back(edge.to);
      for (int c = 0; c < builder_.classes(); ++c) {
        std::vector<std::int32_t>& targets = reached[static_cast<std::size_t>(c)];
        if (targets.empty()) continue;
        const std::int32_t next = StateOf(Closure(std::move(targets), nullptr));
        builder_.Set(static_cast<std::int32_t>(at), c, next);
        targets.clear();
      }
    }
    return std::move(builder_).Build();
  }

  std::int64_t work() const { return work_; }

 private:
  using Free = std::vector<std::int32_t> Nfa::State::*;

  const Nfa::State& Of(std::int32_t state) const {
    return states_[static_cast<std::size_t>(state)];
  }

  std::array<bool, 256> Classes() const {
    std::array<bool, 256> begins = {};
    for (const Nfa::State& state : states_) {
      for (const Nfa::Edge& edge : state.edges) {
        begins[edge.first] = true;
        if (edge.last < 255) begins[edge.last + 1U] = true;
      }
    }
    return begins;
  }

  // With all that is reached for free; `also`: at the beginning, or at the end.
  std::vector<std::int32_t> Closure(std::vector<std::int32_t> from, Free also) {
    ++round_;
    std::vector<std::int32_t> all;
    const auto add = [&](std::int32_t state) {
      if (std::exchange(seen_[static_cast<std::size_t>(state)], round_) != round_)
        all.push_back(state);
    };
    for (const std::int32_t state : from) add(state);
    for (std::size_t at = 0; at < all.size(); ++at) {
      const std::int32_t state = all[at];
      for (const std::int32_t next : Of(state).free) add(next);
      if (also == nullptr) continue;
      for (const std::int32_t next : Of(state).*also) add(next);
    }
    work_ += static_cast<std::int64_t>(all.size());
    std::ranges::sort(all);
    return all;
  }

  std::int32_t StateOf(std::vector<std::int32_t> set) {
    const auto found = known_.find(set);
    if (found != known_.end()) return found->second;
    std::vector<Dfa::Label> labels;
    bool ends = false;
    for (const std::int32_t state : set) {
      ends = ends || !Of(state).at_end.empty();
      if (Of(state).label >= 0) labels.push_back(Of(state).label);
    }
    if (ends) {
      labels.clear();
      for (const std::int32_t state : Closure(set, &Nfa::State::at_end))
        if (Of(state).label >= 0) labels.push_back(Of(state).label);
    }
    std::ranges::sort(labels);
    labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
    const std::int32_t number = builder_.AddState(std::move(labels));
    known_.emplace(set, number);
    sets_.push_back(std::move(set));
    return number;
  }

  struct Hash {
    std::size_t operator()(const std::vector<std::int32_t>& set) const {
      std::uint64_t sum = set.size();
      for (const std::int32_t state : set)
        sum = (sum ^ static_cast<std::uint32_t>(state)) * 0x9E3779B97F4A7C15ULL;
      return sum ^ (sum >> 29);
    }
  };

  const std::vector<Nfa::State>& states_;
  const AutomatonLimits& limits_;
  DfaBuilder builder_;
  std::vector<std::vector<std::int32_t>> sets_;
  std::unordered_map<std::vector<std::int32_t>, std::int32_t, Hash> known_;
  std::vector<std::int32_t> seen_;  // the last round of each state
  std::int32_t round_ = 0;
  std::int64_t work_ = 0;
};

}  // namespace

std::int32_t Nfa::AddState() {
  states_.emplace_back();
  return static_cast<std::int32_t>(states_.size() - 1);
}

void Nfa::AddEdge(std::int32_t from, std::uint8_t first, std::uint8_t last, std::int32_t to) {
  at(from).edges.push_back({first, last, to});
}

Status Nfa::CheckStates(const AutomatonLimits& limits) const {
  // A state here is far smaller than one of a deterministic automaton.
  const std::int64_t most = 16 * limits.max_states;
  if (static_cast<std::int64_t>(states_.size()) <= most) return Ok();
  return Error(ErrorCode::kResourceExhausted,
               fmt::format("a pattern repeats so much that its automaton has more than {} states, "
                           "the limit",
                           most));
}

// Characters of as many bytes, as few rows of ranges of bytes as there are: a range of characters
// is cut where the bytes behind the first do not run through all that they can be.
void Nfa::AddUtf8(std::uint32_t first, std::uint32_t last, std::int32_t from, std::int32_t to) {
  constexpr std::uint32_t kLastOf[] = {0x7F, 0x7FF, 0xFFFF, 0x10FFFF};
  for (const std::uint32_t end : kLastOf) {
    if (first > end || last <= end) continue;
    AddUtf8(first, end, from, to);
    AddUtf8(end + 1, last, from, to);
    return;
  }
  for (const int bits : {18, 12, 6}) {
    const std::uint32_t low = (1U << bits) - 1;
    if (last < 0x80 || (first & ~low) == (last & ~low)) continue;
    if ((first & low) != 0) {
      AddUtf8(first, first | low, from, to);
      AddUtf8((first | low) + 1, last, from, to);
      return;
    }
    if ((last & low) != low) {
      AddUtf8(first, (last & ~low) - 1, from, to);
      AddUtf8(last & ~low, last, from, to);
      return;
    }
  }
  std::string begin;
  std::string end;
  text::AppendChar(begin, first);
  text::AppendChar(end, last);
  for (std::size_t i = 0; i < begin.size(); ++i) {
    const std::int32_t next = i + 1 == begin.size() ? to : AddState();
    AddEdge(from, static_cast<std::uint8_t>(begin[i]), static_cast<std::uint8_t>(end[i]), next);
    from = next;
  }
}

void Nfa::AddEscape(std::uint32_t code, std::int32_t from, std::int32_t to) {
  const std::int32_t slash = AddState();
  AddEdge(from, '\\', '\\', slash);
  for (const auto& [character, letter] : kShortEscapes) {
    if (static_cast<std::uint32_t>(character) != code) continue;
    AddEdge(slash, static_cast<std::uint8_t>(letter), static_cast<std::uint8_t>(letter), to);
    return;
  }
  std::int32_t state = slash;
  for (const char letter : std::string_view("u00")) {
    const std::int32_t next = AddState();
    AddEdge(state, static_cast<std::uint8_t>(letter), static_cast<std::uint8_t>(letter), next);
    state = next;
  }
  const std::int32_t high = AddState();
  const auto tens = static_cast<std::uint8_t>('0' + (code >> 4));
  AddEdge(state, tens, tens, high);
  const std::uint32_t ones = code & 0xF;
  if (ones < 10) {
    AddEdge(high, static_cast<std::uint8_t>('0' + ones), static_cast<std::uint8_t>('0' + ones), to);
    return;
  }
  for (const std::uint32_t letter : {'a' + ones - 10, 'A' + ones - 10})
    AddEdge(high, static_cast<std::uint8_t>(letter), static_cast<std::uint8_t>(letter), to);
}

Status Nfa::AddSet(const CodePoints& set, std::int32_t from, std::int32_t to,
                   const AutomatonLimits& limits) {
  CodePoints plain = set;
  if (spelling_ == Spelling::kJsonString) {
    const CodePoints escaped = set.And(EscapedInJson());
    for (const CodePoints::Range& range : escaped.ranges())
      for (std::uint32_t code = range.first; code <= range.last; ++code) AddEscape(code, from, to);
    plain = set.And(EscapedInJson().Not());
  }
  if (plain.ranges().size() <= kManyRanges) {
    for (const CodePoints::Range& range : plain.ranges())
      AddUtf8(range.first, range.last, from, to);
    return CheckStates(limits);
  }
  auto known = std::ranges::find(sets_, plain, &std::pair<CodePoints, Dfa>::first);
  if (known == sets_.end()) {
    Nfa alone(Spelling::kText);
    const std::int32_t begin = alone.AddState();
    const std::int32_t end = alone.AddState();
    alone.Accept(end, 0);
    for (const CodePoints::Range& range : plain.ranges())
      alone.AddUtf8(range.first, range.last, begin, end);
    METIER_ASSIGN(Dfa small, alone.Determinise(begin, limits));
    known = sets_.insert(sets_.end(), {plain, std::move(small)});
  }
  AddDfa(known->second, from, to);
  return CheckStates(limits);
}

std::int32_t Nfa::AddDfa(const Dfa& dfa, std::int32_t from, std::int32_t to) {
  const auto first = static_cast<std::int32_t>(states_.size());
  for (std::int32_t state = 0; state < dfa.states(); ++state) AddState();
  for (std::int32_t state = 0; state < dfa.states(); ++state) {
    const std::int32_t here = first + state;
    for (int byte = 0; byte < 256;) {
      int last = byte;
      const int of_class = dfa.ClassOf(static_cast<std::uint8_t>(byte));
      while (last < 255 && dfa.ClassOf(static_cast<std::uint8_t>(last + 1)) == of_class) ++last;
      const std::int32_t next = dfa.Next(state, static_cast<std::uint8_t>(byte));
      if (next != Dfa::kNone) {
        AddEdge(here, static_cast<std::uint8_t>(byte), static_cast<std::uint8_t>(last),
                first + next);
      }
      byte = last + 1;
    }
    if (dfa.Accepts(state)) AddFree(here, to);
  }
  if (!dfa.empty()) AddFree(from, first + Dfa::kStart);
  return first;
}

Status Nfa::AddRepeat(const Pattern& pattern, std::int32_t from, std::int32_t to,
                      const AutomatonLimits& limits) {
  const Pattern& part = pattern.parts.front();
  std::int32_t state = from;
  for (std::int64_t i = 0; i < pattern.least; ++i) {
    const std::int32_t next = AddState();
    METIER_TRY(AddPattern(part, state, next, limits));
    state = next;
  }
  if (pattern.most == Pattern::kEndless) {
    const std::int32_t loop = AddState();
    AddFree(state, loop);
    METIER_TRY(AddPattern(part, loop, loop, limits));
    AddFree(loop, to);
    return Ok();
  }
  for (std::int64_t i = pattern.least; i < pattern.most; ++i) {
    AddFree(state, to);
    const std::int32_t next = AddState();
    METIER_TRY(AddPattern(part, state, next, limits));
    state = next;
  }
  AddFree(state, to);
  return Ok();
}

Status Nfa::AddPattern(const Pattern& pattern, std::int32_t from, std::int32_t to,
                       const AutomatonLimits& limits) {
  METIER_TRY(CheckStates(limits));
  switch (pattern.kind) {
    case Pattern::Kind::kSet: return AddSet(pattern.set, from, to, limits);
    case Pattern::Kind::kRepeat: return AddRepeat(pattern, from, to, limits);
    case Pattern::Kind::kBegin: at(from).at_begin.push_back(to); return Ok();
    case Pattern::Kind::kEnd: at(from).at_end.push_back(to); return Ok();
    case Pattern::Kind::kAhead:
      return Error(ErrorCode::kUnsupported,
                   "a lookahead inside of a group that repeats or is a choice");
    case Pattern::Kind::kChoice:
      for (const Pattern& part : pattern.parts) METIER_TRY(AddPattern(part, from, to, limits));
      return Ok();
    case Pattern::Kind::kSequence: break;
  }
  std::int32_t state = from;
  for (const Pattern& part : pattern.parts) {
    const std::int32_t next = AddState();
    METIER_TRY(AddPattern(part, state, next, limits));
    state = next;
  }
  AddFree(state, to);
  return Ok();
}

Result<Dfa> Nfa::Determinise(std::int32_t start, const AutomatonLimits& limits,
                             std::int64_t* work) const {
  Determiniser determiniser(states_, limits);
  Result<Dfa> dfa = determiniser.Run(start);
  if (work != nullptr) *work += determiniser.work();
  return dfa;
}

}  // namespace metier::grammar
