#include "grammar/schema/expander.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "grammar/automata/language.h"
#include "grammar/regex/pattern.h"

namespace metier::grammar {
namespace {

// How far inside of values is looked for what tells schemas apart.
constexpr int kLook = 3;

}  // namespace

Error Expander::Wrong(const Site& site, std::string_view expected) const {
  return {ErrorCode::kInvalidArgument,
          fmt::format("schema '{}': {} is {}, expected {}", tree_.PathOf(site.id), site.key,
                      DumpCompact(site.value).substr(0, 80), expected)};
}

Error Expander::Unsupported(const Site& site, std::string_view what) const {
  return {ErrorCode::kUnsupported,
          fmt::format("schema '{}': {}: {}", tree_.PathOf(site.id), site.key, what)};
}

Literal Expander::At(const Site& site, const Json& value, const std::string& words) const {
  return {tree_.Inside(site.id, value, words), false};
}

Result<SharedDfa> Expander::PatternLanguage(const std::string& pattern) {
  SharedDfa& language = languages_[pattern];
  if (language != nullptr) return language;
  METIER_ASSIGN(const Pattern parsed, ParsePattern(pattern));
  METIER_ASSIGN(Dfa dfa,
                LanguageOf(parsed, Match::kAnywhere, Spelling::kJsonString, limits_.automata));
  language = std::make_shared<const Dfa>(std::move(dfa));
  return language;
}

Status Expander::ApplyNegation(SchemaId id, Branch& branch) {
  const Json& schema = tree_.Schema(id);
  negation_.clear();
  const bool reference_alone = tree_.draft() == Draft::kDraft7 && schema.contains("$ref");
  for (const auto& [key, value] : schema.items()) {
    if (reference_alone && key != "$ref") continue;
    const auto keyword = Keywords().find(key);
    if (keyword == Keywords().end()) continue;
    METIER_TRY((this->*keyword->second.breaks)({id, schema, key, value}, branch));
  }
  branch.choices.push_back(std::exchange(negation_, {}));
  return Ok();
}

Status Expander::Apply(const Literal& literal, Branch& branch) {
  const Json& schema = tree_.Schema(literal.schema);
  if (schema.is_boolean()) {
    if (schema.get<bool>() == literal.negated) branch.rules.types = 0;
    return Ok();
  }
  if (!schema.is_object()) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("schema '{}': found {}, expected an object or a boolean",
                             tree_.PathOf(literal.schema), schema.type_name()));
  }
  if (literal.negated) return ApplyNegation(literal.schema, branch);
  const bool reference_alone = tree_.draft() == Draft::kDraft7 && schema.contains("$ref");
  for (const auto& [key, value] : schema.items()) {
    if (reference_alone && key != "$ref") continue;
    const auto keyword = Keywords().find(key);
    if (keyword == Keywords().end()) continue;
    METIER_TRY((this->*keyword->second.holds)({literal.schema, schema, key, value}, branch));
  }
  return Ok();
}

Result<std::vector<Rules>> Expander::Expand(const Conjunction& conjunction) {
  return ExpandTo(conjunction, kLook);
}

Result<std::vector<Rules>> Expander::ExpandTo(const Conjunction& conjunction, int depth) {
  std::vector<Rules> alternatives;
  std::vector<Branch> branches(1);
  branches.front().open = {conjunction.begin(), conjunction.end()};
  while (!branches.empty()) {
    Branch branch = std::move(branches.back());
    branches.pop_back();
    if (++work_ > limits_.max_work) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("schema: anyOf, oneOf, not and if leave more than {} ways open",
                               limits_.max_work));
    }
    while (!branch.open.empty() && branch.rules.types != 0) {
      const Literal literal = branch.open.back();
      branch.open.pop_back();
      if (branch.done.contains(literal.Not())) branch.rules.types = 0;
      if (branch.done.insert(literal).second) METIER_TRY(Apply(literal, branch));
    }
    // Of twenty conditions on one member only those go together that agree on it: to see that now
    // keeps the ways from doubling with each.
    if ((branch.rules.types & kObjectType) != 0) {
      METIER_ASSIGN(const bool none, NoObject(branch.rules.objects, depth));
      if (none) branch.rules.types &= ~kObjectType;
    }
    if (branch.rules.types == 0) continue;
    if (!branch.choices.empty()) {
      const Choice choice = std::move(branch.choices.back());
      branch.choices.pop_back();
      for (auto option = choice.rbegin(); option != choice.rend(); ++option) {
        Branch next = branch;
        next.rules.And(option->rules);
        if (next.rules.types == 0) continue;
        next.open.insert(next.open.end(), option->literals.begin(), option->literals.end());
        branches.push_back(std::move(next));
      }
      continue;
    }
    alternatives.push_back(std::move(branch.rules));
    if (static_cast<std::int64_t>(alternatives.size()) > limits_.max_alternatives) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("schema '{}': more than {} alternatives",
                               tree_.PathOf(conjunction.front().schema), limits_.max_alternatives));
    }
  }
  return alternatives;
}

// No value is of these rules; false where that is not seen at once.
Result<bool> Expander::Impossible(const Rules& rules, int depth) {
  if ((rules.types & ~(kStringType | kObjectType | kNumberType)) != 0) return false;
  const auto& numbers = rules.numbers;
  if ((rules.types & kNumberType) != 0 && !(numbers.allowed && numbers.allowed->empty()))
    return false;
  if ((rules.types & kStringType) != 0) {
    const StringRules& strings = rules.strings;
    if (!strings.allowed) return false;
    for (const std::string& text : *strings.allowed)
      if (!strings.refused.contains(text)) return false;
  }
  if ((rules.types & kObjectType) == 0) return true;
  return NoObject(rules.objects, depth);
}

// A member that must come has no value.
Result<bool> Expander::NoObject(const ObjectRules& rules, int depth) {
  if (depth == 0) return false;
  for (const std::string& name : rules.required) {
    Conjunction value;
    for (const ObjectPart& part : rules.parts) {
      const auto found =
          std::ranges::find(part.properties, name, &std::pair<std::string, Literal>::first);
      if (found != part.properties.end()) {
        value.push_back(found->second);
      } else if (part.patterns.empty() && part.others) {
        value.push_back(*part.others);
      }
    }
    if (value.empty()) continue;
    METIER_ASSIGN(const bool none, NoValue(std::move(value), depth - 1));
    if (none) return true;
  }
  return false;
}

Result<bool> Expander::NoValue(Conjunction conjunction, int depth) {
  std::ranges::sort(conjunction);
  conjunction.erase(std::unique(conjunction.begin(), conjunction.end()), conjunction.end());
  // False while it is asked for itself.
  const auto [known, fresh] = no_value_.try_emplace({conjunction, depth}, false);
  if (!fresh) return known->second;
  METIER_ASSIGN(const std::vector<Rules> alternatives, ExpandTo(conjunction, depth));
  bool none = true;
  for (const Rules& one : alternatives) {
    METIER_ASSIGN(const bool here, Impossible(one, depth));
    none = none && here;
  }
  known->second = none;
  return none;
}

Result<bool> Expander::Disjoint(const Literal& a, const Literal& b) {
  const std::pair pair = std::minmax(a, b);
  const auto known = disjoint_.find(pair);
  if (known != disjoint_.end()) return known->second;
  if (!comparing_.insert(pair).second) return false;  // asked for itself
  bool disjoint = true;
  METIER_ASSIGN(const std::vector<Rules> alternatives, Expand({pair.first, pair.second}));
  for (const Rules& one : alternatives) {
    METIER_ASSIGN(const bool impossible, Impossible(one, kLook));
    disjoint = disjoint && impossible;
  }
  comparing_.erase(pair);
  disjoint_.emplace(pair, disjoint);
  return disjoint;
}

}  // namespace metier::grammar
