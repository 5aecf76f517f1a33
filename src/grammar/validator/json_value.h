// grammar/validator/json_value.h - JSON documents as values: equality as the drafts define it,
// sets, types, and a few words about one for a message.
//
// Everything here that recurses needs a document whose depth was checked (NestsWithin).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"

namespace metier::grammar::validator {

// Numbers by value (1 equals 1.0, false does not equal 0), objects whatever the order of their
// keys.
bool EqualJson(const Json& a, const Json& b);

// Equal documents have equal hashes.
std::uint64_t HashJson(const Json& value);

// No array or object nests deeper than `levels`. Without recursion: for documents of any depth.
bool NestsWithin(const Json& document, int levels);

// The types of JSON Schema, as bits. A value of kInteger is of kNumber as well.
using TypeSet = std::uint8_t;
constexpr TypeSet kNullType = 1;
constexpr TypeSet kBooleanType = 2;
constexpr TypeSet kIntegerType = 4;
constexpr TypeSet kNumberType = 8;
constexpr TypeSet kStringType = 16;
constexpr TypeSet kArrayType = 32;
constexpr TypeSet kObjectType = 64;
constexpr TypeSet kAnyType = 127;

TypeSet TypesOf(const Json& value);
// 0 for a name that is no type.
TypeSet TypeFromName(std::string_view name);
// "string or null".
std::string TypeNames(TypeSet types);

// Characters of UTF-8 text; a byte that belongs to none counts as one.
std::size_t CountCharacters(std::string_view text);

// "an array of 3 items", or the value itself where it is short.
std::string Describe(const Json& value);
// "1 item", "3 items".
std::string Counted(std::uint64_t count, std::string_view one, std::string_view more);
// Text in quotes, shortened.
std::string Quoted(std::string_view text);

// `token` as one step of a JSON pointer: "/a~1b".
std::string PointerStep(std::string_view token);

// The values of `enum`: membership in about constant time.
class ValueSet {
 public:
  // The values are borrowed.
  explicit ValueSet(const Json& array);
  bool Contains(const Json& value) const;

 private:
  std::unordered_multimap<std::uint64_t, const Json*> by_hash_;
};

// The first two items of the array that are equal.
struct EqualItems {
  std::size_t first = 0;
  std::size_t second = 0;
};
std::optional<EqualItems> FindEqualItems(const Json& array);

// An object for many look-ups by name. Json finds a key by walking: fine for small objects, and
// where there are many keys an index is made at the first question.
class ObjectIndex {
 public:
  // The object is borrowed.
  explicit ObjectIndex(const Json& object);
  bool Has(const std::string& name);

 private:
  const Json::object_t& members_;
  std::unordered_map<std::string_view, const Json*> by_name_;
};

}  // namespace metier::grammar::validator
