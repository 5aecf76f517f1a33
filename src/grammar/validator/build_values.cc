#include <fmt/format.h>

#include "grammar/validator/build_rules.h"
#include "grammar/validator/format.h"
#include "grammar/validator/json_value.h"
#include "grammar/validator/number.h"

namespace metier::grammar::validator {
namespace {

Result<Number> NumberValue(const Json& value) {
  const auto number = Number::From(value);
  if (!number) return NodeBuilder::Unfit(value, "a number");
  return *number;
}

// Draft 04: is the bound beside this keyword's value exclusive?
bool SwitchIsOn(const NodeBuilder& node, std::string_view exclusive_keyword) {
  if (node.dialect().draft != SchemaDraft::kDraft04) return false;
  const auto found = node.schema().find(exclusive_keyword);
  return found != node.schema().end() && found->is_boolean() && found->get<bool>();
}

Status SetCount(const Json& value, std::uint64_t& count) {
  const auto whole = CountFrom(value);
  if (!whole) return NodeBuilder::Unfit(value, "a whole number of at least 0");
  count = *whole;
  return Ok();
}

}  // namespace

Status BuildType(NodeBuilder& node, const Json& value) {
  constexpr std::string_view kExpected =
      "null, boolean, integer, number, string, array or object, or an array of those";
  TypeSet types = 0;
  const auto add = [&types](const Json& name) {
    const TypeSet type =
        name.is_string() ? TypeFromName(name.get_ref<const std::string&>()) : TypeSet{0};
    types |= type;
    return type != 0;
  };
  if (value.is_array()) {
    for (const Json& name : value) {
      if (!add(name)) return NodeBuilder::Unfit(name, kExpected);
    }
    if (types == 0) return NodeBuilder::Unfit(value, kExpected);
  } else if (!add(value)) {
    return NodeBuilder::Unfit(value, kExpected);
  }
  node.node().types = types;
  return Ok();
}

Status BuildEnum(NodeBuilder& node, const Json& value) {
  if (!value.is_array()) return NodeBuilder::Unfit(value, "an array of the allowed values");
  node.node().choices = &value;
  node.node().choice_set.emplace(value);
  return Ok();
}

Status BuildConst(NodeBuilder& node, const Json& value) {
  node.node().constant = &value;
  return Ok();
}

Status BuildFormat(NodeBuilder& node, const Json& value) {
  if (!value.is_string()) return NodeBuilder::Unfit(value, "the name of a format");
  if (node.AssertsFormats()) node.node().format = FindFormat(value.get_ref<const std::string&>());
  return Ok();
}

Status BuildMinimum(NodeBuilder& node, const Json& value) {
  METIER_ASSIGN(const Number bound, NumberValue(value));
  const bool exclusive = SwitchIsOn(node, "exclusiveMinimum");
  (exclusive ? node.number().exclusive_minimum : node.number().minimum) = bound;
  return Ok();
}

Status BuildMaximum(NodeBuilder& node, const Json& value) {
  METIER_ASSIGN(const Number bound, NumberValue(value));
  const bool exclusive = SwitchIsOn(node, "exclusiveMaximum");
  (exclusive ? node.number().exclusive_maximum : node.number().maximum) = bound;
  return Ok();
}

Status BuildExclusiveMinimum(NodeBuilder& node, const Json& value) {
  METIER_ASSIGN(node.number().exclusive_minimum, NumberValue(value));
  return Ok();
}

Status BuildExclusiveMaximum(NodeBuilder& node, const Json& value) {
  METIER_ASSIGN(node.number().exclusive_maximum, NumberValue(value));
  return Ok();
}

Status BuildExclusiveSwitch(NodeBuilder& node, const Json& value) {
  static_cast<void>(node);
  if (!value.is_boolean()) return NodeBuilder::Unfit(value, "true or false, in draft 04");
  return Ok();
}

Status BuildMultipleOf(NodeBuilder& node, const Json& value) {
  METIER_ASSIGN(const Number step, NumberValue(value));
  if (!step.IsPositive() || !step.IsFinite()) return NodeBuilder::Unfit(value, "a number above 0");
  node.number().multiple_of = step;
  return Ok();
}

Status BuildMinLength(NodeBuilder& node, const Json& value) {
  return SetCount(value, node.string().min_length);
}

Status BuildMaxLength(NodeBuilder& node, const Json& value) {
  return SetCount(value, node.string().max_length);
}

Status BuildPattern(NodeBuilder& node, const Json& value) {
  if (!value.is_string()) return NodeBuilder::Unfit(value, "a regular expression");
  METIER_ASSIGN(node.string().pattern, EcmaRegex::Compile(value.get_ref<const std::string&>()));
  return Ok();
}

}  // namespace metier::grammar::validator
