// Keywords of Expander (expander.h) that combine schemas, and the list of all.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "grammar/schema/expander.h"

namespace metier::grammar {

const std::map<std::string, Expander::Keyword>& Expander::Keywords() {
  using E = Expander;
  static const std::map<std::string, Keyword> keywords = {
      {"type", {&E::Type, &E::NotType}},
      {"enum", {&E::Enum, &E::NotEnum}},
      {"const", {&E::Enum, &E::NotEnum}},
      {"minimum", {&E::Bound, &E::NotBound}},
      {"maximum", {&E::Bound, &E::NotBound}},
      {"exclusiveMinimum", {&E::Bound, &E::NotBound}},
      {"exclusiveMaximum", {&E::Bound, &E::NotBound}},
      {"multipleOf", {&E::MultipleOf, &E::NegationNotCompiled}},
      {"minLength", {&E::Sizes, &E::NotSizes}},
      {"maxLength", {&E::Sizes, &E::NotSizes}},
      {"minItems", {&E::Sizes, &E::NotSizes}},
      {"maxItems", {&E::Sizes, &E::NotSizes}},
      {"minProperties", {&E::Sizes, &E::NotSizes}},
      {"maxProperties", {&E::Sizes, &E::NotSizes}},
      {"pattern", {&E::PatternKeyword, &E::NotPattern}},
      {"format", {&E::Format, &E::NotFormat}},
      {"$ref", {&E::Reference, &E::NotReference}},
      {"$dynamicRef", {&E::Reference, &E::NotReference}},
      {"$recursiveRef", {&E::Reference, &E::NotReference}},
      {"allOf", {&E::AllOf, &E::NotAllOf}},
      {"anyOf", {&E::AnyOf, &E::NotAnyOf}},
      {"oneOf", {&E::OneOf, &E::NotOneOf}},
      {"not", {&E::NotKeyword, &E::NotNot}},
      {"if", {&E::If, &E::NotIf}},
      {"items", {&E::Items, &E::NotItems}},
      {"prefixItems", {&E::Items, &E::NotItems}},
      {"uniqueItems", {&E::UniqueItems, &E::NegationNotCompiled}},
      {"contains", {&E::Contains, &E::NotContains}},
      {"unevaluatedItems", {&E::NotCompiled, &E::NegationNotCompiled}},
      {"properties", {&E::Members, &E::NotMembers}},
      {"patternProperties", {&E::Members, &E::NotMembers}},
      {"additionalProperties", {&E::Members, &E::NotMembers}},
      {"unevaluatedProperties", {&E::NotCompiled, &E::NegationNotCompiled}},
      {"required", {&E::Required, &E::NotRequired}},
      {"propertyNames", {&E::PropertyNames, &E::NegationNotCompiled}},
      {"dependencies", {&E::Dependencies, &E::NotDependencies}},
      {"dependentRequired", {&E::Dependencies, &E::NotDependencies}},
      {"dependentSchemas", {&E::Dependencies, &E::NotDependencies}},
  };
  return keywords;
}

Result<std::vector<Literal>> Expander::ListOf(const Site& site) const {
  if (!site.value.is_array()) return Wrong(site, "a list of schemas");
  std::vector<Literal> literals;
  for (std::size_t i = 0; i < site.value.size(); ++i)
    literals.push_back(At(site, site.value[i], fmt::format("{}/{}", site.key, i)));
  return literals;
}

Status Expander::Reference(const Site& site, Branch& branch) {
  if (!site.value.is_string()) return Wrong(site, "a text");
  METIER_ASSIGN(const SchemaId target, tree_.Refer(site.id, site.value.get<std::string>()));
  branch.open.push_back({target, false});
  return Ok();
}

Status Expander::NotReference(const Site& site, Branch&) {
  if (!site.value.is_string()) return Wrong(site, "a text");
  METIER_ASSIGN(const SchemaId target, tree_.Refer(site.id, site.value.get<std::string>()));
  Breaks({{target, true}});
  return Ok();
}

Status Expander::AllOf(const Site& site, Branch& branch) {
  METIER_ASSIGN(const std::vector<Literal> all, ListOf(site));
  branch.open.insert(branch.open.end(), all.begin(), all.end());
  return Ok();
}

Status Expander::NotAllOf(const Site& site, Branch&) {
  METIER_ASSIGN(const std::vector<Literal> all, ListOf(site));
  for (const Literal& one : all) Breaks({one.Not()});
  return Ok();
}

Status Expander::AnyOf(const Site& site, Branch& branch) {
  METIER_ASSIGN(const std::vector<Literal> all, ListOf(site));
  Choice choice;
  for (const Literal& one : all) choice.push_back({{one}, {}});
  branch.choices.push_back(std::move(choice));
  return Ok();
}

Status Expander::NotAnyOf(const Site& site, Branch&) {
  METIER_ASSIGN(std::vector<Literal> all, ListOf(site));
  for (Literal& one : all) one = one.Not();
  Breaks(std::move(all));
  return Ok();
}

// One of them, and of the others those not that it could be too.
Status Expander::OneOf(const Site& site, Branch& branch) {
  METIER_ASSIGN(const std::vector<Literal> all, ListOf(site));
  Choice choice;
  for (std::size_t i = 0; i < all.size(); ++i) {
    Option option{{all[i]}, {}};
    for (std::size_t j = 0; j < all.size(); ++j) {
      if (j == i) continue;
      METIER_ASSIGN(const bool disjoint, Disjoint(all[i], all[j]));
      if (!disjoint) option.literals.push_back(all[j].Not());
    }
    choice.push_back(std::move(option));
  }
  branch.choices.push_back(std::move(choice));
  return Ok();
}

// None, or two.
Status Expander::NotOneOf(const Site& site, Branch& branch) {
  METIER_TRY(NotAnyOf(site, branch));
  METIER_ASSIGN(const std::vector<Literal> all, ListOf(site));
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t j = i + 1; j < all.size(); ++j) Breaks({all[i], all[j]});
  return Ok();
}

Status Expander::NotKeyword(const Site& site, Branch& branch) {
  branch.open.push_back(At(site, site.value, site.key).Not());
  return Ok();
}

Status Expander::NotNot(const Site& site, Branch&) {
  Breaks({At(site, site.value, site.key)});
  return Ok();
}

Status Expander::If(const Site& site, Branch& branch) {
  const Literal condition = At(site, site.value, site.key);
  const auto part = [&](const char* name) {
    std::vector<Literal> literals;
    const auto found = site.schema.find(name);
    if (found != site.schema.end()) literals.push_back(At(site, *found, name));
    return literals;
  };
  std::vector<Literal> holds = part("then");
  std::vector<Literal> fails = part("else");
  if (holds.empty() && fails.empty()) return Ok();
  holds.push_back(condition);
  fails.push_back(condition.Not());
  branch.choices.push_back({{std::move(holds), {}}, {std::move(fails), {}}});
  return Ok();
}

Status Expander::NotIf(const Site& site, Branch&) {
  const Literal condition = At(site, site.value, site.key);
  for (const auto& [name, when] :
       {std::pair("then", condition), std::pair("else", condition.Not())}) {
    const auto found = site.schema.find(name);
    if (found != site.schema.end()) Breaks({when, At(site, *found, name).Not()});
  }
  return Ok();
}

Status Expander::NotCompiled(const Site& site, Branch& branch) {
  const bool items = site.key == "contains" || site.key == "unevaluatedItems";
  if (!items && site.value == Json(true)) return Ok();
  branch.rules.unknown.push_back({items ? kArrayType : kObjectType,
                                  Unsupported(site, "this keyword is not compiled").message()});
  return Ok();
}

// It may be broken, in a way that we cannot write.
Status Expander::NegationNotCompiled(const Site& site, Branch&) {
  Rules rules;
  Types types = kObjectType;
  if (site.key == "multipleOf") types = kNumberType;
  if (site.key == "uniqueItems" || site.key == "contains" || site.key == "unevaluatedItems")
    types = kArrayType;
  rules.types = types;
  rules.unknown.push_back(
      {types, Unsupported(site,
                          "the opposite of this keyword (of `not`, `oneOf` or `if`) is not "
                          "compiled")
                  .message()});
  Breaks(std::move(rules));
  return Ok();
}

}  // namespace metier::grammar
