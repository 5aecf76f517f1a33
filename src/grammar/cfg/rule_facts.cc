#include "grammar/cfg/rule_facts.h"

#include <algorithm>
#include <cstddef>
#include <limits>

namespace metier::grammar {
namespace {

// A rule of more states is called: written out in many places it would cost more than it saves.
constexpr std::int64_t kMostWrittenOut = 300;
constexpr std::int64_t kHuge = std::numeric_limits<std::int32_t>::max();
// So many circles are looked at for one that could do without its called rule.
constexpr int kMostReviewed = 64;

void CollectCalled(const RuleBody& body, std::vector<std::int32_t>& rules) {
  if (body.kind == RuleBody::Kind::kRule) rules.push_back(body.rule);
  for (const RuleBody& part : body.parts) CollectCalled(part, rules);
}

// Which rules each one calls, each once.
std::vector<std::vector<std::int32_t>> CallGraph(const RuleSet& rules) {
  std::vector<std::vector<std::int32_t>> called(rules.rules.size());
  for (std::size_t i = 0; i < called.size(); ++i) {
    CollectCalled(rules.rules[i].body, called[i]);
    std::ranges::sort(called[i]);
    called[i].erase(std::unique(called[i].begin(), called[i].end()), called[i].end());
  }
  return called;
}

std::vector<bool> NullableRules(const RuleSet& rules,
                                const std::vector<std::vector<std::int32_t>>& called) {
  const std::size_t count = rules.rules.size();
  std::vector<std::vector<std::size_t>> callers(count);
  for (std::size_t i = 0; i < count; ++i)
    for (const std::int32_t rule : called[i]) callers[static_cast<std::size_t>(rule)].push_back(i);
  std::vector<bool> nullable(count);
  std::vector<bool> waits(count, true);
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < count; ++i) open.push_back(i);
  for (std::size_t at = 0; at < open.size(); ++at) {
    const std::size_t rule = open[at];
    waits[rule] = false;
    if (nullable[rule] || !IsNullable(rules.rules[rule].body, nullable)) continue;
    nullable[rule] = true;
    for (const std::size_t caller : callers[rule]) {
      if (waits[caller] || nullable[caller]) continue;
      waits[caller] = true;
      open.push_back(caller);
    }
  }
  return nullable;
}

// Rules behind one another: a walk through what the root reaches that does not go on at `kept`
// ones.
class CallWalk {
 public:
  CallWalk(const std::vector<std::vector<std::int32_t>>& called, const std::vector<bool>& kept)
      : called_(called), kept_(kept), marks_(called.size(), Mark::kNew) {}

  void From(std::int32_t root) {
    if (marks_[Index(root)] != Mark::kNew) return;
    Enter(root);
    while (!open_.empty()) {
      auto& [rule, next] = open_.back();
      if (next == called_[Index(rule)].size()) {
        marks_[Index(rule)] = Mark::kDone;
        order_.push_back(rule);
        open_.pop_back();
        continue;
      }
      const std::int32_t to = called_[Index(rule)][next++];
      if (kept_[Index(to)]) continue;
      if (marks_[Index(to)] == Mark::kOpen) closing_.push_back(to);
      if (marks_[Index(to)] == Mark::kNew) Enter(to);
    }
  }

  // What is called stands before its caller.
  const std::vector<std::int32_t>& order() const { return order_; }
  // Rules that a circle was found to come back to.
  const std::vector<std::int32_t>& closing() const { return closing_; }

 private:
  enum class Mark : std::uint8_t { kNew, kOpen, kDone };

  static std::size_t Index(std::int32_t rule) { return static_cast<std::size_t>(rule); }
  void Enter(std::int32_t rule) {
    marks_[Index(rule)] = Mark::kOpen;
    open_.emplace_back(rule, 0);
  }

  const std::vector<std::vector<std::int32_t>>& called_;
  const std::vector<bool>& kept_;
  std::vector<Mark> marks_;
  std::vector<std::pair<std::int32_t, std::size_t>> open_;
  std::vector<std::int32_t> order_;
  std::vector<std::int32_t> closing_;
};

// Few rules that every circle has one of.
std::vector<bool> InEveryCircle(const std::vector<std::vector<std::int32_t>>& called,
                                std::int32_t root) {
  std::vector<bool> kept(called.size());
  CallWalk walk(called, kept);
  walk.From(root);
  std::vector<std::int32_t> chosen = walk.closing();
  std::ranges::sort(chosen);
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  for (const std::int32_t rule : chosen) kept[static_cast<std::size_t>(rule)] = true;
  int reviewed = 0;
  for (const std::int32_t rule : chosen) {
    if (++reviewed > kMostReviewed) break;
    kept[static_cast<std::size_t>(rule)] = false;
    CallWalk without(called, kept);
    for (const std::int32_t from : walk.order())
      if (!kept[static_cast<std::size_t>(from)]) without.From(from);
    kept[static_cast<std::size_t>(rule)] = !without.closing().empty();
  }
  return kept;
}

std::int64_t StatesOfSet(const CodePoints& set) {
  constexpr std::int64_t kUtf8 = 12;  // about, of a set that goes far beyond ASCII
  const bool far = !set.empty() && set.ranges().back().last > 0x7F;
  return 1 + std::min<std::int64_t>(64, static_cast<std::int64_t>(set.ranges().size())) +
         (far ? kUtf8 : 0);
}

}  // namespace

bool IsNullable(const RuleBody& body, const std::vector<bool>& nullable) {
  const auto is_nullable = [&](const RuleBody& part) { return IsNullable(part, nullable); };
  switch (body.kind) {
    case RuleBody::Kind::kSet: return false;
    case RuleBody::Kind::kLanguage:
      return !body.language->empty() && body.language->Accepts(Dfa::kStart);
    case RuleBody::Kind::kSequence: return std::ranges::all_of(body.parts, is_nullable);
    case RuleBody::Kind::kChoice: return std::ranges::any_of(body.parts, is_nullable);
    case RuleBody::Kind::kRepeat: return body.least == 0 || is_nullable(body.parts.front());
    case RuleBody::Kind::kRule: break;
  }
  return nullable[static_cast<std::size_t>(body.rule)];
}

std::int64_t SizeOf(const RuleBody& body, const RuleFacts& facts) {
  if (body.kind == RuleBody::Kind::kSet) return StatesOfSet(body.set);
  if (body.kind == RuleBody::Kind::kLanguage) return 1 + body.language->states();
  if (body.kind == RuleBody::Kind::kRule) {
    const auto rule = static_cast<std::size_t>(body.rule);
    return facts.written_out[rule] ? facts.sizes[rule] : 1;
  }
  std::int64_t size = 1;
  for (const RuleBody& part : body.parts) size = std::min(kHuge, size + SizeOf(part, facts));
  if (body.kind != RuleBody::Kind::kRepeat) return size;
  const std::int64_t times = std::max<std::int64_t>({1, body.least, body.most});
  return size * times <= kMostRepeated ? size * times : 2 + size;
}

RuleFacts FactsOf(const RuleSet& rules) {
  const std::vector<std::vector<std::int32_t>> called = CallGraph(rules);
  RuleFacts facts;
  facts.nullable = NullableRules(rules, called);
  facts.written_out.assign(called.size(), false);
  facts.sizes.assign(called.size(), kHuge);
  const std::vector<bool> kept = InEveryCircle(called, rules.root);
  CallWalk walk(called, kept);
  walk.From(rules.root);
  for (std::size_t i = 0; i < kept.size(); ++i)
    if (kept[i]) walk.From(static_cast<std::int32_t>(i));
  for (const std::int32_t rule : walk.order()) {
    const auto index = static_cast<std::size_t>(rule);
    facts.sizes[index] = SizeOf(rules.rules[index].body, facts);
    facts.written_out[index] = !kept[index] && facts.sizes[index] <= kMostWrittenOut;
  }
  return facts;
}

}  // namespace metier::grammar
