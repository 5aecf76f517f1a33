#include <utility>

#include "grammar/validator/build_rules.h"
#include "grammar/validator/json_value.h"

namespace metier::grammar::validator {
namespace {

Result<std::string_view> ReferenceFrom(const Json& value) {
  if (!value.is_string()) return NodeBuilder::Unfit(value, "a reference as text");
  return std::string_view(value.get_ref<const std::string&>());
}

Status SetBranches(NodeBuilder& node, const Json& value, std::vector<const Node*>& branches) {
  if (!value.is_array() || value.empty()) {
    return NodeBuilder::Unfit(value, "an array of at least one schema");
  }
  for (std::size_t i = 0; i < value.size(); ++i) {
    METIER_ASSIGN(const Node* branch, node.Child(value[i], "/" + std::to_string(i)));
    branches.push_back(branch);
  }
  return Ok();
}

Status SetBranch(NodeBuilder& node, const Json& value, const Node*& branch) {
  METIER_ASSIGN(branch, node.Child(value));
  return Ok();
}

}  // namespace

Status BuildRef(NodeBuilder& node, const Json& value) {
  METIER_ASSIGN(const std::string_view reference, ReferenceFrom(value));
  METIER_ASSIGN(const Node* target, node.Reference(reference));
  node.same_value().references.push_back(target);
  return Ok();
}

Status BuildDynamicRef(NodeBuilder& node, const Json& value) {
  METIER_ASSIGN(const std::string_view reference, ReferenceFrom(value));
  METIER_ASSIGN(const Target target, node.Find(reference));
  const Node* otherwise = node.Want(target);
  if (target.dynamic_anchor.empty()) {  // then it is a $ref by another name
    node.same_value().references.push_back(otherwise);
  } else {
    node.same_value().dynamic_references.push_back(
        {otherwise, node.WantAnchor(target.dynamic_anchor)});
  }
  return Ok();
}

Status BuildRecursiveRef(NodeBuilder& node, const Json& value) {
  METIER_ASSIGN(const std::string_view reference, ReferenceFrom(value));
  if (reference != "#") return NodeBuilder::Unfit(value, "\"#\", the one value it may have");
  const Node* root = node.Want({node.ResourceRoot(), ""});
  if (node.HasRecursiveAnchor()) {
    node.same_value().dynamic_references.push_back({root, node.WantAnchor("")});
  } else {
    node.same_value().references.push_back(root);
  }
  return Ok();
}

Status BuildDefinitions(NodeBuilder& node, const Json& value) {
  if (!value.is_object()) return NodeBuilder::Unfit(value, "an object of schemas");
  for (const auto& [name, schema] : value.get_ref<const Json::object_t&>()) {
    METIER_TRY(node.Child(schema, PointerStep(name)));
  }
  return Ok();
}

Status BuildAllOf(NodeBuilder& node, const Json& value) {
  return SetBranches(node, value, node.same_value().all_of);
}

Status BuildAnyOf(NodeBuilder& node, const Json& value) {
  return SetBranches(node, value, node.same_value().any_of);
}

Status BuildOneOf(NodeBuilder& node, const Json& value) {
  return SetBranches(node, value, node.same_value().one_of);
}

Status BuildNot(NodeBuilder& node, const Json& value) {
  return SetBranch(node, value, node.same_value().negated);
}

Status BuildIf(NodeBuilder& node, const Json& value) {
  return SetBranch(node, value, node.same_value().condition);
}

Status BuildThen(NodeBuilder& node, const Json& value) {
  return SetBranch(node, value, node.same_value().then);
}

Status BuildElse(NodeBuilder& node, const Json& value) {
  return SetBranch(node, value, node.same_value().otherwise);
}

}  // namespace metier::grammar::validator
