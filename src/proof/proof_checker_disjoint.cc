// The part of the checker that is about variables that have to be disjoint.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/utf8.h"
#include "proof/proof_checker.h"

namespace metier::proof {
namespace {

VariablePair PairOf(std::int32_t a, std::int32_t b) {
  return a < b ? VariablePair(a, b) : VariablePair(b, a);
}

}  // namespace

bool ProofChecker::CheckDisjoint(std::span<const VariablePair> pairs) {
  if (pairs.empty()) return true;
  occurring_.clear();
  return std::ranges::all_of(pairs, [&](const VariablePair& pair) { return CheckPair(pair); });
}

// The two may share no variable, and each variable of the one has to be disjoint from each of the
// other in the scope of what is proved.
bool ProofChecker::CheckPair(const VariablePair& pair) {
  Range left;
  Range right;
  if (!Occurrences(pair.first, left) || !Occurrences(pair.second, right)) return false;
  if (!Spend(static_cast<std::int64_t>(left.count) * right.count)) return false;
  if (left.count == 0 || right.count == 0) return true;
  if (!CollectScope()) return false;
  for (const std::int32_t a : PartOf(occurring_, left)) {
    for (const std::int32_t b : PartOf(occurring_, right)) {
      if (a != b && std::ranges::binary_search(scope_pairs_, PairOf(a, b))) continue;
      return FailDisjoint(pair, a, b);
    }
  }
  return true;
}

bool ProofChecker::FailDisjoint(const VariablePair& pair, std::int32_t a, std::int32_t b) {
  const auto spelling = [&](std::int32_t variable) {
    return Excerpt(database_.SpellingOf(~variable));
  };
  const std::string places = fmt::format("'{}' and '{}', which are to be disjoint",
                                         spelling(pair.first), spelling(pair.second));
  if (a == b) {
    return Fail(fmt::format("the variable '{}' in what replaces {}", spelling(a), places),
                "no variable in both");
  }
  return Fail(fmt::format("'{}' and '{}' in what replaces {}", spelling(a), spelling(b), places),
              fmt::format("$d {} {} $. in the scope of the theorem", spelling(a), spelling(b)));
}

// The variables in what a variable is bound to, each once. None where that is not known.
bool ProofChecker::Occurrences(std::int32_t variable, Range& range) {
  const auto index = static_cast<std::size_t>(variable);
  if (occurrences_of_[index] != applications_) {
    const Entry bound = bound_[index];
    if (!Spend(bound.count)) return false;
    ++searches_;
    const auto begin = static_cast<std::uint32_t>(occurring_.size());
    for (const Symbol symbol : At(bound)) {
      if (!IsVariable(symbol)) continue;
      std::int64_t& seen = seen_[static_cast<std::size_t>(VariableOf(symbol))];
      if (seen == searches_) continue;
      seen = searches_;
      occurring_.push_back(VariableOf(symbol));
    }
    occurrences_[index] = {.begin = begin,
                           .count = static_cast<std::uint32_t>(occurring_.size()) - begin};
    occurrences_of_[index] = applications_;
  }
  range = occurrences_[index];
  return true;
}

// The pairs of every $d statement in scope, once for a proof and only where one is asked for.
bool ProofChecker::CollectScope() {
  if (scope_collected_) return true;
  scope_collected_ = true;
  scope_pairs_.clear();
  const auto add = [&](std::span<const std::int32_t> group) {
    const auto size = static_cast<std::int64_t>(group.size());
    if (!Spend(size * size)) return false;
    for (std::size_t i = 0; i < group.size(); ++i)
      for (std::size_t j = i + 1; j < group.size(); ++j)
        scope_pairs_.push_back(PairOf(group[i], group[j]));
    return true;
  };
  for (std::int32_t at = target_->scope_disjoint; at >= 0;) {
    const DisjointGroup& group = database_.disjoint_groups[static_cast<std::size_t>(at)];
    if (!add(PartOf(database_.group_variables, group.variables))) return false;
    at = group.previous;
  }
  for (const auto& group : target_->own_disjoint)
    if (!add(group)) return false;
  std::ranges::sort(scope_pairs_);
  return true;
}

}  // namespace metier::proof
