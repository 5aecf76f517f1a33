// grammar/validator/build_rules.h - one function per keyword: checks its value and adds its rule to
// the node. Called through the table of keywords.cc.
//
// All fail with kInvalidArgument where the value is not what the drafts allow, saying what was
// found and expected; the caller adds which keyword of which schema. References fail as
// Documents::Find, patterns as EcmaRegex::Compile.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "grammar/validator/program_builder.h"

namespace metier::grammar::validator {

// build_values.cc: what a single value must be.
Status BuildType(NodeBuilder& node, const Json& value);
Status BuildEnum(NodeBuilder& node, const Json& value);
Status BuildConst(NodeBuilder& node, const Json& value);
Status BuildFormat(NodeBuilder& node, const Json& value);
Status BuildMinimum(NodeBuilder& node, const Json& value);
Status BuildMaximum(NodeBuilder& node, const Json& value);
Status BuildExclusiveMinimum(NodeBuilder& node, const Json& value);
Status BuildExclusiveMaximum(NodeBuilder& node, const Json& value);
// Draft 04: true makes the bound beside it exclusive. BuildMinimum and BuildMaximum read it.
Status BuildExclusiveSwitch(NodeBuilder& node, const Json& value);
Status BuildMultipleOf(NodeBuilder& node, const Json& value);
Status BuildMinLength(NodeBuilder& node, const Json& value);
Status BuildMaxLength(NodeBuilder& node, const Json& value);
Status BuildPattern(NodeBuilder& node, const Json& value);

// build_containers.cc: what items and properties must be.
Status BuildMinItems(NodeBuilder& node, const Json& value);
Status BuildMaxItems(NodeBuilder& node, const Json& value);
Status BuildUniqueItems(NodeBuilder& node, const Json& value);
Status BuildPrefixItems(NodeBuilder& node, const Json& value);
// As of 2020-12: the items behind prefixItems.
Status BuildItems(NodeBuilder& node, const Json& value);
// Before: all items, or the first ones, one each; additionalItems then is for those behind.
Status BuildItemsOrTuple(NodeBuilder& node, const Json& value);
Status BuildAdditionalItems(NodeBuilder& node, const Json& value);
Status BuildContains(NodeBuilder& node, const Json& value);
Status BuildMinContains(NodeBuilder& node, const Json& value);
Status BuildMaxContains(NodeBuilder& node, const Json& value);
Status BuildUnevaluatedItems(NodeBuilder& node, const Json& value);
Status BuildMinProperties(NodeBuilder& node, const Json& value);
Status BuildMaxProperties(NodeBuilder& node, const Json& value);
Status BuildRequired(NodeBuilder& node, const Json& value);
Status BuildProperties(NodeBuilder& node, const Json& value);
Status BuildPatternProperties(NodeBuilder& node, const Json& value);
Status BuildAdditionalProperties(NodeBuilder& node, const Json& value);
Status BuildPropertyNames(NodeBuilder& node, const Json& value);
Status BuildDependentRequired(NodeBuilder& node, const Json& value);
Status BuildDependentSchemas(NodeBuilder& node, const Json& value);
Status BuildDependencies(NodeBuilder& node, const Json& value);
Status BuildUnevaluatedProperties(NodeBuilder& node, const Json& value);

// build_logic.cc: further schemas for the same value.
Status BuildRef(NodeBuilder& node, const Json& value);
Status BuildDynamicRef(NodeBuilder& node, const Json& value);
Status BuildRecursiveRef(NodeBuilder& node, const Json& value);
// $defs and definitions: compiled so that their mistakes are found, applied to nothing.
Status BuildDefinitions(NodeBuilder& node, const Json& value);
Status BuildAllOf(NodeBuilder& node, const Json& value);
Status BuildAnyOf(NodeBuilder& node, const Json& value);
Status BuildOneOf(NodeBuilder& node, const Json& value);
Status BuildNot(NodeBuilder& node, const Json& value);
Status BuildIf(NodeBuilder& node, const Json& value);
Status BuildThen(NodeBuilder& node, const Json& value);
Status BuildElse(NodeBuilder& node, const Json& value);

}  // namespace metier::grammar::validator
