#include <fmt/format.h>

#include <utility>

#include "grammar/validator/build_rules.h"
#include "grammar/validator/json_value.h"
#include "grammar/validator/number.h"

namespace metier::grammar::validator {
namespace {

Status SetSize(const Json& value, std::uint64_t& size) {
  const auto whole = CountFrom(value);
  if (!whole) return NodeBuilder::Unfit(value, "a whole number of at least 0");
  size = *whole;
  return Ok();
}

Status SetChild(NodeBuilder& node, const Json& value, const Node*& child) {
  METIER_ASSIGN(child, node.Child(value));
  return Ok();
}

Result<std::vector<const Node*>> ChildrenOf(NodeBuilder& node, const Json& array) {
  std::vector<const Node*> children;
  children.reserve(array.size());
  for (std::size_t i = 0; i < array.size(); ++i) {
    METIER_ASSIGN(const Node* child, node.Child(array[i], "/" + std::to_string(i)));
    children.push_back(child);
  }
  return children;
}

// The members of an object-valued keyword, or an error.
Result<const Json::object_t*> NamedValues(const Json& value, std::string_view expected) {
  if (!value.is_object()) return NodeBuilder::Unfit(value, expected);
  return &value.get_ref<const Json::object_t&>();
}

Result<std::vector<std::string>> NamesFrom(const Json& value) {
  if (!value.is_array()) return NodeBuilder::Unfit(value, "an array of property names");
  std::vector<std::string> names;
  for (const Json& name : value) {
    if (!name.is_string()) return NodeBuilder::Unfit(name, "a property name");
    names.push_back(name.get<std::string>());
  }
  return names;
}

Status AddSchemaDependency(NodeBuilder& node, const std::string& name, const Json& schema) {
  METIER_ASSIGN(const Node* child, node.Child(schema, PointerStep(name)));
  node.object().dependencies.push_back({.keyword = node.keyword(), .name = name, .schema = child});
  return Ok();
}

Status AddNamesDependency(NodeBuilder& node, const std::string& name, const Json& names) {
  METIER_ASSIGN(std::vector<std::string> required, NamesFrom(names));
  node.object().dependencies.push_back(
      {.keyword = node.keyword(), .name = name, .required = std::move(required)});
  return Ok();
}

}  // namespace

Status BuildMinItems(NodeBuilder& node, const Json& value) {
  return SetSize(value, node.array().min_items);
}

Status BuildMaxItems(NodeBuilder& node, const Json& value) {
  return SetSize(value, node.array().max_items);
}

Status BuildUniqueItems(NodeBuilder& node, const Json& value) {
  if (!value.is_boolean()) return NodeBuilder::Unfit(value, "true or false");
  node.array().unique = value.get<bool>();
  return Ok();
}

Status BuildPrefixItems(NodeBuilder& node, const Json& value) {
  if (!value.is_array()) return NodeBuilder::Unfit(value, "an array of schemas");
  METIER_ASSIGN(node.array().prefix, ChildrenOf(node, value));
  return Ok();
}

Status BuildItems(NodeBuilder& node, const Json& value) {
  if (value.is_array()) {
    return NodeBuilder::Unfit(value, "one schema; that of each place is prefixItems in 2020-12");
  }
  return SetChild(node, value, node.array().rest);
}

Status BuildItemsOrTuple(NodeBuilder& node, const Json& value) {
  if (value.is_array()) return BuildPrefixItems(node, value);
  return SetChild(node, value, node.array().rest);
}

Status BuildAdditionalItems(NodeBuilder& node, const Json& value) {
  // Without a tuple beside it the keyword has nothing to say; it is checked all the same.
  const auto items = node.schema().find("items");
  const bool has_tuple = items != node.schema().end() && items->is_array();
  METIER_ASSIGN(const Node* child, node.Child(value));
  if (has_tuple) node.array().rest = child;
  return Ok();
}

Status BuildContains(NodeBuilder& node, const Json& value) {
  node.array().contains_evaluates = node.dialect().draft >= SchemaDraft::kDraft202012;
  return SetChild(node, value, node.array().contains);
}

Status BuildMinContains(NodeBuilder& node, const Json& value) {
  return SetSize(value, node.array().min_contains);
}

Status BuildMaxContains(NodeBuilder& node, const Json& value) {
  return SetSize(value, node.array().max_contains);
}

Status BuildUnevaluatedItems(NodeBuilder& node, const Json& value) {
  return SetChild(node, value, node.node().unevaluated_items);
}

Status BuildMinProperties(NodeBuilder& node, const Json& value) {
  return SetSize(value, node.object().min_properties);
}

Status BuildMaxProperties(NodeBuilder& node, const Json& value) {
  return SetSize(value, node.object().max_properties);
}

Status BuildRequired(NodeBuilder& node, const Json& value) {
  METIER_ASSIGN(const std::vector<std::string> names, NamesFrom(value));
  ObjectRules& rules = node.object();
  for (const std::string& name : names) {
    PropertyRule& rule = rules.properties[name];
    if (!std::exchange(rule.required, true)) rules.required.push_back(name);
  }
  return Ok();
}

Status BuildProperties(NodeBuilder& node, const Json& value) {
  METIER_ASSIGN(const auto* members, NamedValues(value, "an object of schemas"));
  for (const auto& [name, schema] : *members) {
    METIER_ASSIGN(node.object().properties[name].node, node.Child(schema, PointerStep(name)));
  }
  return Ok();
}

Status BuildPatternProperties(NodeBuilder& node, const Json& value) {
  METIER_ASSIGN(const auto* members, NamedValues(value, "an object of schemas by pattern"));
  for (const auto& [pattern, schema] : *members) {
    METIER_ASSIGN(EcmaRegex regex, EcmaRegex::Compile(pattern));
    METIER_ASSIGN(const Node* child, node.Child(schema, PointerStep(pattern)));
    node.object().patterns.push_back({std::move(regex), child});
  }
  return Ok();
}

Status BuildAdditionalProperties(NodeBuilder& node, const Json& value) {
  return SetChild(node, value, node.object().additional);
}

Status BuildPropertyNames(NodeBuilder& node, const Json& value) {
  return SetChild(node, value, node.object().names);
}

Status BuildDependentRequired(NodeBuilder& node, const Json& value) {
  METIER_ASSIGN(const auto* members, NamedValues(value, "an object of arrays of property names"));
  for (const auto& [name, names] : *members) METIER_TRY(AddNamesDependency(node, name, names));
  return Ok();
}

Status BuildDependentSchemas(NodeBuilder& node, const Json& value) {
  METIER_ASSIGN(const auto* members, NamedValues(value, "an object of schemas"));
  for (const auto& [name, schema] : *members) METIER_TRY(AddSchemaDependency(node, name, schema));
  return Ok();
}

Status BuildDependencies(NodeBuilder& node, const Json& value) {
  METIER_ASSIGN(const auto* members,
                NamedValues(value, "an object of schemas or arrays of property names"));
  for (const auto& [name, rule] : *members) {
    METIER_TRY(rule.is_array() ? AddNamesDependency(node, name, rule)
                               : AddSchemaDependency(node, name, rule));
  }
  return Ok();
}

Status BuildUnevaluatedProperties(NodeBuilder& node, const Json& value) {
  return SetChild(node, value, node.node().unevaluated_properties);
}

}  // namespace metier::grammar::validator
