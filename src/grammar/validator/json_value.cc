#include "grammar/validator/json_value.h"

#include <fmt/format.h>

#include <array>
#include <functional>
#include <utility>

#include "base/utf8.h"
#include "grammar/validator/number.h"

namespace metier::grammar::validator {
namespace {

// Up to here walking beats hashing.
constexpr std::size_t kSmall = 12;
// Longest excerpt of a value in a message.
constexpr std::size_t kExcerptBytes = 80;

constexpr std::array<std::pair<std::string_view, TypeSet>, 7> kTypeNames = {{
    {"null", kNullType},
    {"boolean", kBooleanType},
    {"integer", kIntegerType},
    {"number", kNumberType},
    {"string", kStringType},
    {"array", kArrayType},
    {"object", kObjectType},
}};

const Json::object_t& MembersOf(const Json& object) {
  return object.get_ref<const Json::object_t&>();
}

std::uint64_t MixHash(std::uint64_t hash, std::uint64_t more) {
  return (hash ^ more) * 0x9E3779B97F4A7C15ULL + (hash >> 29);  // 2^64 / golden ratio
}

bool EqualObjects(const Json::object_t& a, const Json::object_t& b) {
  if (a.size() != b.size()) return false;
  if (a.size() <= kSmall) {
    for (const auto& [key, value] : a) {
      const auto other = b.find(key);
      if (other == b.end() || !EqualJson(value, other->second)) return false;
    }
    return true;
  }
  std::unordered_map<std::string_view, const Json*> by_name;
  by_name.reserve(b.size());
  for (const auto& [key, value] : b) by_name.emplace(key, &value);
  for (const auto& [key, value] : a) {
    const auto other = by_name.find(key);
    if (other == by_name.end() || !EqualJson(value, *other->second)) return false;
  }
  return true;
}

}  // namespace

bool EqualJson(const Json& a, const Json& b) {
  if (a.is_number() || b.is_number()) {
    if (!a.is_number() || !b.is_number()) return false;
    return Number::From(a)->Compare(*Number::From(b)) == 0;
  }
  if (a.type() != b.type()) return false;
  if (a.is_object()) return EqualObjects(MembersOf(a), MembersOf(b));
  if (a.is_array()) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (!EqualJson(a[i], b[i])) return false;
    }
    return true;
  }
  return a == b;
}

std::uint64_t HashJson(const Json& value) {
  if (const auto number = Number::From(value)) return number->Hash();
  if (value.is_string()) return std::hash<std::string>()(value.get_ref<const std::string&>());
  if (value.is_array()) {
    std::uint64_t hash = 3;
    for (const Json& item : value) hash = MixHash(hash, HashJson(item));
    return hash;
  }
  if (value.is_object()) {
    std::uint64_t hash = 5;  // a sum: the order of the keys must not matter
    for (const auto& [key, item] : MembersOf(value)) {
      hash += MixHash(std::hash<std::string>()(key), HashJson(item));
    }
    return hash;
  }
  if (value.is_boolean()) return value.get<bool>() ? 7 : 11;
  return 13;
}

bool NestsWithin(const Json& document, int levels) {
  std::vector<std::pair<const Json*, int>> open = {{&document, 0}};
  while (!open.empty()) {
    const auto [value, depth] = open.back();
    open.pop_back();
    if (!value->is_structured()) continue;
    if (depth >= levels) return false;
    if (value->is_array()) {
      for (const Json& item : *value) {
        if (item.is_structured()) open.emplace_back(&item, depth + 1);
      }
    } else {
      for (const auto& [key, item] : MembersOf(*value)) {
        if (item.is_structured()) open.emplace_back(&item, depth + 1);
      }
    }
  }
  return true;
}

TypeSet TypesOf(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null: return kNullType;
    case Json::value_t::boolean: return kBooleanType;
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned: return kIntegerType | kNumberType;
    case Json::value_t::number_float:
      return Number::From(value)->IsInteger() ? kIntegerType | kNumberType : kNumberType;
    case Json::value_t::string: return kStringType;
    case Json::value_t::array: return kArrayType;
    case Json::value_t::object: return kObjectType;
    case Json::value_t::binary:
    case Json::value_t::discarded: break;  // no document of JSON has them
  }
  return 0;
}

TypeSet TypeFromName(std::string_view name) {
  for (const auto& [known, type] : kTypeNames) {
    if (known == name) return type;
  }
  return 0;
}

std::string TypeNames(TypeSet types) {
  std::vector<std::string_view> names;
  for (const auto& [name, type] : kTypeNames) {
    if ((types & type) != 0) names.push_back(name);
  }
  if (names.size() < 2) return std::string(names.empty() ? "nothing" : names.front());
  const std::string_view last = names.back();
  names.pop_back();
  return fmt::format("{} or {}", fmt::join(names, ", "), last);
}

std::size_t CountCharacters(std::string_view text) {
  std::size_t count = 0;
  for (const char byte : text) {
    count += static_cast<std::size_t>((static_cast<unsigned char>(byte) & 0xC0) != 0x80);
  }
  return count;
}

std::string Quoted(std::string_view text) {
  return fmt::format("\"{}\"", Excerpt(text, kExcerptBytes));
}

std::string Counted(std::uint64_t count, std::string_view one, std::string_view more) {
  return fmt::format("{} {}", count, count == 1 ? one : more);
}

std::string Describe(const Json& value) {
  if (value.is_string()) return Quoted(value.get_ref<const std::string&>());
  if (!value.is_structured()) return DumpCompact(value);
  const bool is_array = value.is_array();
  if (value.empty()) return is_array ? "an empty array" : "an empty object";
  return is_array ? "an array of " + Counted(value.size(), "item", "items")
                  : "an object with " + Counted(value.size(), "property", "properties");
}

std::string PointerStep(std::string_view token) {
  std::string step = "/";
  for (const char byte : token) {
    if (byte == '~') {
      step += "~0";
    } else if (byte == '/') {
      step += "~1";
    } else {
      step += byte;
    }
  }
  return step;
}

ValueSet::ValueSet(const Json& array) {
  by_hash_.reserve(array.size());
  for (const Json& value : array) by_hash_.emplace(HashJson(value), &value);
}

bool ValueSet::Contains(const Json& value) const {
  const auto [begin, end] = by_hash_.equal_range(HashJson(value));
  for (auto at = begin; at != end; ++at) {
    if (EqualJson(*at->second, value)) return true;
  }
  return false;
}

std::optional<EqualItems> FindEqualItems(const Json& array) {
  if (array.size() <= kSmall) {
    for (std::size_t second = 1; second < array.size(); ++second) {
      for (std::size_t first = 0; first < second; ++first) {
        if (EqualJson(array[first], array[second])) return EqualItems{first, second};
      }
    }
    return std::nullopt;
  }
  std::unordered_multimap<std::uint64_t, std::size_t> seen;
  seen.reserve(array.size());
  for (std::size_t second = 0; second < array.size(); ++second) {
    const std::uint64_t hash = HashJson(array[second]);
    const auto [begin, end] = seen.equal_range(hash);
    for (auto at = begin; at != end; ++at) {
      if (EqualJson(array[at->second], array[second])) return EqualItems{at->second, second};
    }
    seen.emplace(hash, second);
  }
  return std::nullopt;
}

ObjectIndex::ObjectIndex(const Json& object) : members_(MembersOf(object)) {}

bool ObjectIndex::Has(const std::string& name) {
  if (members_.size() <= kSmall) return members_.find(name) != members_.end();
  if (by_name_.empty()) {
    by_name_.reserve(members_.size());
    for (const auto& [key, value] : members_) by_name_.emplace(key, &value);
  }
  return by_name_.contains(name);
}

}  // namespace metier::grammar::validator
