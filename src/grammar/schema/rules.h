// grammar/schema/rules.h - what several schemas together say of a value, type by type, once nothing
// is left open between them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "grammar/automata/dfa.h"
#include "grammar/schema/number_rules.h"
#include "grammar/schema/schema_tree.h"

namespace metier::grammar {

// A schema that must hold, or must not.
struct Literal {
  SchemaId schema = 0;
  bool negated = false;
  auto operator<=>(const Literal&) const = default;
  Literal Not() const { return {schema, !negated}; }
};
// All of them: sorted, each once.
using Conjunction = std::vector<Literal>;

// Sets of types, as bits. Numbers that must be integers are numbers with a rule.
using Types = std::uint32_t;
constexpr Types kNullType = 1;
constexpr Types kFalseType = 2;
constexpr Types kTrueType = 4;
constexpr Types kNumberType = 8;
constexpr Types kStringType = 16;
constexpr Types kArrayType = 32;
constexpr Types kObjectType = 64;
constexpr Types kAllTypes = 127;

using SharedDfa = std::shared_ptr<const Dfa>;

struct StringRules {
  std::int64_t least = 0;
  std::optional<std::int64_t> most;
  std::vector<SharedDfa> within;   // Spelling::kJsonString
  std::vector<SharedDfa> outside;  // texts that it must not be
  std::optional<std::set<std::string>> allowed;
  std::set<std::string> refused;
};

struct ArrayPart {  // of one schema
  std::vector<Literal> first;
  std::optional<Literal> rest;
};

// An item at this place or behind it, of which the literal holds.
struct SomeItem {
  std::size_t from = 0;
  Literal value;
};

struct ArrayRules {
  std::vector<ArrayPart> parts;
  std::vector<SomeItem> some;
  std::int64_t least = 0;
  std::optional<std::int64_t> most;
  bool distinct = false;
};

struct ObjectPart {  // of one schema
  std::vector<std::pair<std::string, Literal>> properties;
  std::vector<std::pair<std::string, Literal>> patterns;
  std::optional<Literal> others;  // names that neither speaks of
};

// A member of another name than these, of which the literal holds.
struct SomeMember {
  std::set<std::string> other_than;
  Literal value;
};

struct ObjectRules {
  std::vector<ObjectPart> parts;
  std::vector<SomeMember> some;
  std::set<std::string> required;
  std::vector<Literal> names;
  std::set<std::pair<std::string, std::string>> dependent;  // with the first, the second
  std::int64_t least = 0;
  std::optional<std::int64_t> most;
};

struct Rules {
  Types types = kAllTypes;
  NumberRules numbers;
  StringRules strings;
  ArrayRules arrays;
  ObjectRules objects;
  // What we do not compile, by the types that it concerns: an error where one of them is possible.
  struct Unknown {
    Types types = 0;
    std::string what;
  };
  std::vector<Unknown> unknown;

  void And(const Rules& other);
};

}  // namespace metier::grammar
