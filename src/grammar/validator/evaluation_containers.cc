#include <fmt/format.h>

#include <utility>

#include "base/utf8.h"
#include "grammar/validator/evaluation.h"
#include "grammar/validator/evaluation_scopes.h"

namespace metier::grammar::validator {
namespace {

const Json::object_t& MembersIn(const Json& object) {
  return object.get_ref<const Json::object_t&>();
}

bool IsTrueNode(const Node* node) { return node->kind == Node::Kind::kTrue; }

}  // namespace

bool Evaluation::CheckArray(const Node& node, const Json& array, Evaluated* seen) {
  const ArrayRules& rules = *node.array;
  bool fits = true;
  const auto fail = [&](std::string_view keyword, std::string_view relation, std::uint64_t bound) {
    fits = loud_ && Fail(node, keyword, Describe(array),
                         fmt::format("{} {}", relation, Counted(bound, "item", "items")));
  };
  if (array.size() < rules.min_items) fail("minItems", "at least", rules.min_items);
  if (array.size() > rules.max_items) fail("maxItems", "at most", rules.max_items);
  if (!fits && !GoesOn()) return false;
  if (rules.unique) {
    if (!Step(array.size())) return false;
    if (const auto equal = FindEqualItems(array)) {
      fits = loud_ && Fail(node, "uniqueItems",
                           fmt::format("items {} and {} equal", equal->first, equal->second),
                           "all items different");
      if (!GoesOn()) return false;
    }
  }
  if (!rules.prefix.empty() || rules.rest != nullptr) {
    fits = CheckItems(rules, array, seen) && fits;
    if (!fits && !GoesOn()) return false;
  }
  if (rules.contains != nullptr) fits = CheckContains(node, array, seen) && fits;
  return fits;
}

bool Evaluation::CheckItems(const ArrayRules& rules, const Json& array, Evaluated* seen) {
  bool fits = true;
  for (std::size_t i = 0; i < array.size(); ++i) {
    const Node* item = i < rules.prefix.size() ? rules.prefix[i] : rules.rest;
    if (item == nullptr) break;
    if (seen != nullptr) seen->Mark(i);
    if (i >= rules.prefix.size() && IsTrueNode(item)) {
      if (seen != nullptr) seen->MarkAll();
      break;
    }
    const Inside inside(*this, i);
    fits = Apply(*item, array[i], nullptr) && fits;
    if (!fits && !GoesOn()) return false;
  }
  return fits;
}

bool Evaluation::CheckContains(const Node& node, const Json& array, Evaluated* seen) {
  const ArrayRules& rules = *node.array;
  const bool marks = seen != nullptr && rules.contains_evaluates;
  std::uint64_t matching = 0;
  for (std::size_t i = 0; i < array.size(); ++i) {
    const Inside inside(*this, i);
    if (!ApplyQuietly(*rules.contains, array[i], nullptr)) continue;
    ++matching;
    if (marks) seen->Mark(i);
    const bool decided = matching >= rules.min_contains && rules.max_contains == kNoMaximum;
    if (decided && !marks) return true;
    if (matching > rules.max_contains) break;
  }
  const bool too_few = matching < rules.min_contains;
  if (!too_few && matching <= rules.max_contains) return true;
  if (!loud_) return false;
  if (!too_few) {
    return Fail(node, "maxContains", "more than " + Counted(rules.max_contains, "item", "items"),
                "at most " + Counted(rules.max_contains, "item", "items") +
                    " that fit the schema of 'contains'");
  }
  // Without minContains it is `contains` itself that asks for one.
  return Fail(node, rules.min_contains == 1 ? "contains" : "minContains",
              fmt::format("{} of {} items", matching, array.size()),
              "at least " + Counted(rules.min_contains, "item", "items") +
                  " that fit the schema of 'contains'");
}

bool Evaluation::CheckUnevaluatedItems(const Node& rest, const Json& array, Evaluated& seen) {
  bool fits = true;
  for (std::size_t i = 0; i < array.size() && !IsTrueNode(&rest); ++i) {
    if (seen.Has(i)) continue;
    const Inside inside(*this, i);
    fits = Apply(rest, array[i], nullptr) && fits;
    if (!fits && !GoesOn()) return false;
  }
  seen.MarkAll();
  return fits;
}

bool Evaluation::CheckObject(const Node& node, const Json& object, Evaluated* seen) {
  const ObjectRules& rules = *node.object;
  bool fits = true;
  const auto fail = [&](std::string_view keyword, std::string_view relation, std::uint64_t bound) {
    fits = loud_ && Fail(node, keyword, Describe(object),
                         fmt::format("{} {}", relation, Counted(bound, "property", "properties")));
  };
  if (object.size() < rules.min_properties) fail("minProperties", "at least", rules.min_properties);
  if (object.size() > rules.max_properties) fail("maxProperties", "at most", rules.max_properties);
  if (!fits && !GoesOn()) return false;
  fits = CheckProperties(node, object, seen) && fits;
  if (!fits && !GoesOn()) return false;
  if (!rules.dependencies.empty()) fits = CheckDependencies(node, object, seen) && fits;
  return fits;
}

bool Evaluation::CheckProperties(const Node& node, const Json& object, Evaluated* seen) {
  const ObjectRules& rules = *node.object;
  if (!Step(object.size())) return false;
  bool fits = true;
  std::size_t required = 0;
  std::size_t index = 0;
  for (const auto& [name, value] : MembersIn(object)) {
    const auto found = rules.properties.find(name);
    const PropertyRule* rule = found != rules.properties.end() ? &found->second : nullptr;
    if (rule != nullptr && rule->required) ++required;
    bool evaluated = false;
    const Inside inside(*this, name);
    fits = CheckProperty(rules, rule, name, value, evaluated) && fits;
    if (!fits && !GoesOn()) return false;
    if (evaluated && seen != nullptr) seen->Mark(index);
    ++index;
  }
  if (required != rules.required.size()) fits = CheckRequired(node, object) && fits;
  return fits;
}

bool Evaluation::CheckProperty(const ObjectRules& rules, const PropertyRule* rule,
                               const std::string& name, const Json& value, bool& evaluated) {
  bool fits = true;
  if (rules.names != nullptr) {
    const Json copy(name);
    ++copies_;
    fits = Apply(*rules.names, copy, nullptr);
    --copies_;
    if (!fits && !GoesOn()) return false;
  }
  if (rule != nullptr && rule->node != nullptr) {
    evaluated = true;
    fits = Apply(*rule->node, value, nullptr) && fits;
    if (!fits && !GoesOn()) return false;
  }
  for (const PatternPropertyRule& pattern : rules.patterns) {
    if (!Matches(pattern.pattern, name)) {
      if (Ended()) return false;
      continue;
    }
    evaluated = true;
    fits = Apply(*pattern.node, value, nullptr) && fits;
    if (!fits && !GoesOn()) return false;
  }
  if (!evaluated && rules.additional != nullptr) {
    evaluated = true;
    fits = Apply(*rules.additional, value, nullptr) && fits;
  }
  return fits;
}

bool Evaluation::CheckRequired(const Node& node, const Json& object) {
  if (!loud_) return false;
  ObjectIndex index(object);
  for (const std::string& name : node.object->required) {
    if (index.Has(name)) continue;
    Fail(node, "required", fmt::format("{} without {}", Describe(object), Quoted(name)),
         "that property");
    if (!GoesOn()) return false;
  }
  return false;
}

bool Evaluation::CheckDependencies(const Node& node, const Json& object, Evaluated* seen) {
  ObjectIndex index(object);
  bool fits = true;
  for (const DependencyRule& rule : node.object->dependencies) {
    if (!index.Has(rule.name)) continue;
    if (rule.schema != nullptr) {
      fits = ApplyShared(*rule.schema, object, seen) && fits;
      if (!fits && !GoesOn()) return false;
    }
    for (const std::string& name : rule.required) {
      if (index.Has(name)) continue;
      fits = loud_ && Fail(node, rule.keyword,
                           fmt::format("{} with {} but without {}", Describe(object),
                                       Quoted(rule.name), Quoted(name)),
                           "both or neither");
      if (!GoesOn()) return false;
    }
  }
  return fits;
}

bool Evaluation::CheckUnevaluatedProperties(const Node& rest, const Json& object, Evaluated& seen) {
  bool fits = true;
  std::size_t index = 0;
  for (const auto& [name, value] : MembersIn(object)) {
    if (seen.Has(index++)) continue;
    const Inside inside(*this, name);
    fits = Apply(rest, value, nullptr) && fits;
    if (!fits && !GoesOn()) return false;
  }
  seen.MarkAll();
  return fits;
}

}  // namespace metier::grammar::validator
