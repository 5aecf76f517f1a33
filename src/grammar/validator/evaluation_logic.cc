#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "grammar/validator/evaluation.h"

namespace metier::grammar::validator {

namespace {

// So many branches are looked into for the best explanation of why none fits.
constexpr std::size_t kMaxProbes = 32;

}  // namespace

int Evaluation::Enter(int scope, int resource) {
  for (int at = scope; at >= 0; at = scopes_[static_cast<std::size_t>(at)].parent) {
    // Only the outermost visit to a resource decides anything.
    if (scopes_[static_cast<std::size_t>(at)].resource == resource) return scope;
  }
  const std::uint64_t key = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(scope)) << 32) |
                            static_cast<std::uint32_t>(resource);
  const auto [at, added] = entered_.emplace(key, static_cast<int>(scopes_.size()));
  if (added) scopes_.push_back({scope, resource});
  return at->second;
}

const Node& Evaluation::TargetOf(const DynamicEdge& edge) const {
  const DynamicAnchor& anchored = program_.dynamic_anchors[edge.anchor];
  const Node* target = edge.otherwise;
  for (int at = scope_; at >= 0; at = scopes_[static_cast<std::size_t>(at)].parent) {
    const auto found = anchored.find(scopes_[static_cast<std::size_t>(at)].resource);
    if (found != anchored.end()) target = found->second;
  }
  return *target;
}

bool Evaluation::CheckSameValue(const Node& node, const Json& value, Evaluated* seen) {
  const SameValueRules& rules = *node.same_value;
  bool fits = CheckReferences(node, value, seen);
  if (!fits && !GoesOn()) return false;
  for (const Node* part : rules.all_of) {
    fits = ApplyShared(*part, value, seen) && fits;
    if (!fits && !GoesOn()) return false;
  }
  if (rules.condition != nullptr) {
    fits = CheckCondition(node, value, seen) && fits;
    if (!fits && !GoesOn()) return false;
  }
  if (!rules.any_of.empty()) {
    fits = CheckAnyOf(node, value, seen) && fits;
    if (!fits && !GoesOn()) return false;
  }
  if (!rules.one_of.empty()) {
    fits = CheckOneOf(node, value, seen) && fits;
    if (!fits && !GoesOn()) return false;
  }
  if (rules.negated != nullptr && ApplyQuietly(*rules.negated, value, nullptr)) {
    fits = loud_ &&
           Fail(node, "not", Describe(value), "a value that does not fit the schema of 'not'");
  }
  return fits;
}

bool Evaluation::CheckReferences(const Node& node, const Json& value, Evaluated* seen) {
  bool fits = true;
  for (const Node* target : node.same_value->references) {
    fits = ApplyShared(*target, value, seen) && fits;
    if (!fits && !GoesOn()) return false;
  }
  for (const DynamicEdge& edge : node.same_value->dynamic_references) {
    fits = ApplyShared(TargetOf(edge), value, seen) && fits;
    if (!fits && !GoesOn()) return false;
  }
  return fits;
}

bool Evaluation::CheckAnyOf(const Node& node, const Json& value, Evaluated* seen) {
  const std::vector<const Node*>& branches = node.same_value->any_of;
  bool any = false;
  for (const Node* branch : branches) {
    Evaluated own;
    if (!ApplyQuietly(*branch, value, seen != nullptr ? &own : nullptr)) continue;
    any = true;
    if (seen == nullptr) break;
    seen->Merge(own);  // every branch that fits counts
  }
  if (any || !loud_) return any;
  return Fail(node, "anyOf", Describe(value),
              fmt::format("to fit one of the {} schemas of anyOf{}", branches.size(),
                          NearestMiss(branches, value)));
}

bool Evaluation::CheckOneOf(const Node& node, const Json& value, Evaluated* seen) {
  const std::vector<const Node*>& branches = node.same_value->one_of;
  std::size_t first = branches.size();
  for (std::size_t i = 0; i < branches.size(); ++i) {
    Evaluated own;
    if (!ApplyQuietly(*branches[i], value, seen != nullptr ? &own : nullptr)) continue;
    if (first != branches.size()) {
      return loud_ && Fail(node, "oneOf", Describe(value),
                           fmt::format("to fit exactly one of the {} schemas of oneOf; it fits "
                                       "those at {} and {}",
                                       branches.size(), first, i));
    }
    first = i;
    if (seen != nullptr) seen->Merge(own);
  }
  if (first != branches.size()) return true;
  return loud_ && Fail(node, "oneOf", Describe(value),
                       fmt::format("to fit one of the {} schemas of oneOf{}", branches.size(),
                                   NearestMiss(branches, value)));
}

bool Evaluation::CheckCondition(const Node& node, const Json& value, Evaluated* seen) {
  const SameValueRules& rules = *node.same_value;
  if (seen == nullptr && rules.then == nullptr && rules.otherwise == nullptr) return true;
  Evaluated own;
  const bool holds = ApplyQuietly(*rules.condition, value, seen != nullptr ? &own : nullptr);
  if (holds && seen != nullptr) seen->Merge(own);
  const Node* next = holds ? rules.then : rules.otherwise;
  return next == nullptr || ApplyShared(*next, value, seen);
}

std::string Evaluation::NearestMiss(const std::vector<const Node*>& branches, const Json& value) {
  if (probing_ || Ended()) return "";
  probing_ = true;
  std::vector<SchemaViolation> kept = std::exchange(violations_, {});
  const std::size_t limit = std::exchange(max_violations_, 1);
  std::optional<SchemaViolation> nearest;
  const auto depth = [](const SchemaViolation& violation) {
    return std::count(violation.instance_path.begin(), violation.instance_path.end(), '/');
  };
  for (std::size_t i = 0; i < std::min(branches.size(), kMaxProbes) && !gave_up_; ++i) {
    violations_.clear();
    full_ = false;
    Apply(*branches[i], value, nullptr);
    if (violations_.empty()) continue;
    if (!nearest || depth(violations_.front()) > depth(*nearest)) {
      nearest = std::move(violations_.front());
    }
  }
  violations_ = std::move(kept);
  max_violations_ = limit;
  full_ = false;
  probing_ = false;
  // Out of steps for explanations: the failure itself is known.
  gave_up_ = false;
  error_.reset();
  return nearest ? "; nearest: " + nearest->Text() : "";
}

}  // namespace metier::grammar::validator
