// grammar/validator/program.h - a compiled schema: nodes with the rules of their keywords, sorted
// by the type of value that they read.
//
//   Node   one schema; rules of a group that its keywords do not need are absent
//   rules  plain data, numbers converted and names resolved; edges are pointers to other nodes
//
// A rule that a schema does not have holds the value with which its check always passes (minimum 0,
// no maximum, null), so that checks need no flags. Keywords that only annotate leave no trace.
//
// Built by ProgramBuilder, read by Evaluation, changed by nobody.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/json.h"
#include "grammar/validator/ecma_regex.h"
#include "grammar/validator/format.h"
#include "grammar/validator/json_value.h"
#include "grammar/validator/number.h"

namespace metier::grammar::validator {

struct Node;

constexpr std::uint64_t kNoMaximum = std::numeric_limits<std::uint64_t>::max();

// For numbers; the bounds of draft 04 are sorted into these four already.
struct NumberRules {
  std::optional<Number> minimum;
  std::optional<Number> exclusive_minimum;
  std::optional<Number> maximum;
  std::optional<Number> exclusive_maximum;
  std::optional<Number> multiple_of;
};

// For strings; `format` is in the node.
struct StringRules {
  std::uint64_t min_length = 0;  // characters
  std::uint64_t max_length = kNoMaximum;
  std::optional<EcmaRegex> pattern;
};

// For arrays. `prefix` and `rest` are items and additionalItems up to 2019-09, prefixItems and
// items since.
struct ArrayRules {
  std::uint64_t min_items = 0;
  std::uint64_t max_items = kNoMaximum;
  bool unique = false;
  std::vector<const Node*> prefix;  // the first items, one each
  const Node* rest = nullptr;       // the items behind them
  const Node* contains = nullptr;
  std::uint64_t min_contains = 1;
  std::uint64_t max_contains = kNoMaximum;
  bool contains_evaluates = false;  // as of 2020-12: what it matches counts as evaluated
};

// What is said about one name by `properties` and `required`.
struct PropertyRule {
  const Node* node = nullptr;  // null where the name is only required
  bool required = false;
};

struct PatternPropertyRule {
  EcmaRegex pattern;
  const Node* node = nullptr;
};

// If an object has `name`, it must have the others, or fit the schema as a whole.
struct DependencyRule {
  std::string_view keyword;
  std::string name;
  std::vector<std::string> required = {};
  const Node* schema = nullptr;
};

// For objects.
struct ObjectRules {
  std::uint64_t min_properties = 0;
  std::uint64_t max_properties = kNoMaximum;
  std::unordered_map<std::string, PropertyRule> properties;
  std::vector<std::string> required;  // in the schema's order, each once
  std::vector<PatternPropertyRule> patterns;
  const Node* additional = nullptr;
  const Node* names = nullptr;
  std::vector<DependencyRule> dependencies;
};

// A reference whose target depends on how one came here: the outermost schema resource on the way
// that has the anchor.
struct DynamicEdge {
  const Node* otherwise = nullptr;
  std::size_t anchor = 0;  // index into Program::dynamic_anchors
};

// Keywords that apply further schemas to the same value.
struct SameValueRules {
  std::vector<const Node*> references;
  std::vector<DynamicEdge> dynamic_references;
  std::vector<const Node*> all_of;
  std::vector<const Node*> any_of;
  std::vector<const Node*> one_of;
  const Node* negated = nullptr;  // `not`
  const Node* condition = nullptr;
  const Node* then = nullptr;
  const Node* otherwise = nullptr;  // `else`
};

// One schema. `true` and {} are kTrue, `false` is kFalse; both have no rules.
struct Node {
  enum class Kind : std::uint8_t { kKeywords, kTrue, kFalse };

  Kind kind = Kind::kKeywords;
  TypeSet types = kAnyType;
  bool shared = false;  // more than one edge may lead here
  int resource = 0;
  std::string pointer;  // from the resource's root

  const Json* constant = nullptr;
  const Json* choices = nullptr;  // the array of `enum`
  std::optional<ValueSet> choice_set;
  const Format* format = nullptr;  // asserted
  std::unique_ptr<NumberRules> number;
  std::unique_ptr<StringRules> string;
  std::unique_ptr<ArrayRules> array;
  std::unique_ptr<ObjectRules> object;
  std::unique_ptr<SameValueRules> same_value;
  const Node* unevaluated_items = nullptr;
  const Node* unevaluated_properties = nullptr;
};

// The schemas with one dynamic anchor: resource -> node.
using DynamicAnchor = std::map<int, const Node*>;

struct Program {
  std::vector<std::unique_ptr<Node>> nodes;  // owned; pointed at by each other
  const Node* root = nullptr;
  std::vector<DynamicAnchor> dynamic_anchors;  // empty: nobody needs to know the way
  std::vector<std::string> resource_uris;
  std::vector<std::shared_ptr<const Json>> documents;  // constants and choices live there
  int max_depth = 0;                                   // of instances
  std::uint64_t max_steps = 0;
};

}  // namespace metier::grammar::validator
