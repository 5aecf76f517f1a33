// Keywords of Expander (expander.h) about the items of arrays and the members of objects.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "grammar/schema/expander.h"

namespace metier::grammar {
namespace {

// Any schema is true of everything that it says nothing of.
bool SaysNothing(const Json& schema) {
  return schema == Json(true) || (schema.is_object() && schema.empty());
}

const Json* Find(const Json& schema, const char* key) {
  const auto found = schema.find(key);
  return found == schema.end() ? nullptr : &*found;
}

ObjectRules OneProperty(const std::string& name, const Literal& value) {
  ObjectRules rules;
  rules.parts.emplace_back();
  rules.parts.back().properties.emplace_back(name, value);
  return rules;
}

}  // namespace

// prefixItems and items, or before 2020 items and additionalItems.
Result<ArrayPart> Expander::ArrayPartOf(const Site& site) const {
  const Json* items = Find(site.schema, "items");
  const Json* first = Find(site.schema, "prefixItems");
  const char* first_key = "prefixItems";
  const char* rest_key = "items";
  const Json* rest = items;
  if (first == nullptr && items != nullptr && items->is_array()) {
    first = items;
    first_key = "items";
    rest = Find(site.schema, "additionalItems");
    rest_key = "additionalItems";
  }
  ArrayPart part;
  if (first != nullptr) {
    if (!first->is_array()) return Wrong(site, "a list of schemas");
    for (std::size_t i = 0; i < first->size(); ++i)
      part.first.push_back(At(site, (*first)[i], fmt::format("{}/{}", first_key, i)));
  }
  if (rest != nullptr && !SaysNothing(*rest)) part.rest = At(site, *rest, rest_key);
  return part;
}

Status Expander::Items(const Site& site, Branch& branch) {
  if (site.key == "items" && site.schema.contains("prefixItems")) return Ok();  // there
  METIER_ASSIGN(ArrayPart part, ArrayPartOf(site));
  branch.rules.arrays.parts.push_back(std::move(part));
  return Ok();
}

Status Expander::NotItems(const Site& site, Branch&) {
  if (site.key == "items" && site.schema.contains("prefixItems")) return Ok();
  METIER_ASSIGN(const ArrayPart part, ArrayPartOf(site));
  for (std::size_t i = 0; i < part.first.size(); ++i) {
    Rules rules{.types = kArrayType};
    ArrayPart broken;
    broken.first.assign(i, Never().Not());
    broken.first.push_back(part.first[i].Not());
    rules.arrays.parts.push_back(std::move(broken));
    rules.arrays.least = static_cast<std::int64_t>(i) + 1;
    Breaks(std::move(rules));
  }
  if (!part.rest) return Ok();
  Rules rules{.types = kArrayType};
  if (IsNever(*part.rest)) {
    rules.arrays.least = static_cast<std::int64_t>(part.first.size()) + 1;
  } else {
    rules.arrays.some.push_back({part.first.size(), part.rest->Not()});
  }
  Breaks(std::move(rules));
  return Ok();
}

// One at least; other numbers (minContains, maxContains) are counted in no shape.
Status Expander::Contains(const Site& site, Branch& branch) {
  const Json* least = Find(site.schema, "minContains");
  if (site.schema.contains("maxContains") || (least != nullptr && *least != 1 && *least != 0))
    return NotCompiled(site, branch);
  if (least == nullptr || *least == 1)
    branch.rules.arrays.some.push_back({0, At(site, site.value, site.key)});
  return Ok();
}

Status Expander::NotContains(const Site& site, Branch& branch) {
  Branch holds;
  METIER_TRY(Contains(site, holds));
  if (!holds.rules.unknown.empty()) return NegationNotCompiled(site, branch);
  if (holds.rules.arrays.some.empty()) return Ok();
  Rules rules{.types = kArrayType};
  rules.arrays.parts.push_back({{}, holds.rules.arrays.some.front().value.Not()});
  Breaks(std::move(rules));
  return Ok();
}

Status Expander::UniqueItems(const Site& site, Branch& branch) {
  if (!site.value.is_boolean()) return Wrong(site, "true or false");
  if (site.value.get<bool>()) branch.rules.arrays.distinct = true;
  return Ok();
}

Result<ObjectPart> Expander::ObjectPartOf(const Site& site) const {
  ObjectPart part;
  for (const char* key : {"properties", "patternProperties"}) {
    const Json* members = Find(site.schema, key);
    if (members == nullptr) continue;
    if (!members->is_object()) return Wrong(site, "an object of schemas");
    auto& list = key == std::string_view("properties") ? part.properties : part.patterns;
    for (const auto& [name, schema] : members->items())
      list.emplace_back(name, At(site, schema, fmt::format("{}/{}", key, name)));
  }
  const Json* others = Find(site.schema, "additionalProperties");
  if (others != nullptr && !SaysNothing(*others))
    part.others = At(site, *others, "additionalProperties");
  return part;
}

namespace {

// The first of the keywords that are one part together speaks for all.
bool Leads(const Json& schema, const std::string& key) {
  for (const char* one : {"properties", "patternProperties", "additionalProperties"})
    if (schema.contains(one)) return key == one;
  return false;
}

}  // namespace

Status Expander::Members(const Site& site, Branch& branch) {
  if (!Leads(site.schema, site.key)) return Ok();
  METIER_ASSIGN(ObjectPart part, ObjectPartOf(site));
  branch.rules.objects.parts.push_back(std::move(part));
  return Ok();
}

Status Expander::NotMembers(const Site& site, Branch& branch) {
  if (!Leads(site.schema, site.key)) return Ok();
  METIER_ASSIGN(const ObjectPart part, ObjectPartOf(site));
  for (const auto& [name, value] : part.properties) {
    if (SaysNothing(tree_.Schema(value.schema))) continue;
    Rules rules{.types = kObjectType};
    rules.objects = OneProperty(name, value.Not());
    rules.objects.required.insert(name);
    Breaks(std::move(rules));
  }
  if (!part.patterns.empty()) return NegationNotCompiled(site, branch);
  if (!part.others) return Ok();
  Rules rules{.types = kObjectType};
  SomeMember some{{}, part.others->Not()};
  for (const auto& [name, value] : part.properties) some.other_than.insert(name);
  rules.objects.some.push_back(std::move(some));
  Breaks(std::move(rules));
  return Ok();
}

Status Expander::Required(const Site& site, Branch& branch) {
  if (site.value.is_boolean())
    return Ok();  // of draft 3, where the object's schema does not say it
  if (!site.value.is_array()) return Wrong(site, "a list of names");
  for (const Json& name : site.value) {
    if (!name.is_string()) return Wrong(site, "a list of names");
    branch.rules.objects.required.insert(name.get<std::string>());
  }
  return Ok();
}

Status Expander::NotRequired(const Site& site, Branch&) {
  Branch holds;
  METIER_TRY(Required(site, holds));
  for (const std::string& name : holds.rules.objects.required) {
    Rules rules{.types = kObjectType};
    rules.objects = OneProperty(name, Never());
    Breaks(std::move(rules));
  }
  return Ok();
}

Status Expander::PropertyNames(const Site& site, Branch& branch) {
  if (SaysNothing(site.value)) return Ok();
  branch.rules.objects.names.push_back(At(site, site.value, site.key));
  return Ok();
}

// A list of names, or a schema.
Status Expander::Dependencies(const Site& site, Branch& branch) {
  if (!site.value.is_object()) return Wrong(site, "an object");
  for (const auto& [name, asked] : site.value.items()) {
    if (asked.is_array() || asked.is_string()) {
      const Json names = asked.is_array() ? asked : Json::array({asked});
      for (const Json& other : names) {
        if (!other.is_string()) return Wrong(site, "lists of names");
        branch.rules.objects.dependent.emplace(name, other.get<std::string>());
      }
      continue;
    }
    Rules without;
    without.objects = OneProperty(name, Never());
    Rules with{.types = kObjectType};
    with.objects.required.insert(name);
    const Literal schema = At(site, asked, fmt::format("{}/{}", site.key, name));
    branch.choices.push_back({{{}, std::move(without)}, {{schema}, std::move(with)}});
  }
  return Ok();
}

Status Expander::NotDependencies(const Site& site, Branch&) {
  if (!site.value.is_object()) return Wrong(site, "an object");
  for (const auto& [name, asked] : site.value.items()) {
    if (!asked.is_array() && !asked.is_string()) {
      Rules with{.types = kObjectType};
      with.objects.required.insert(name);
      Breaks({At(site, asked, fmt::format("{}/{}", site.key, name)).Not()}, std::move(with));
      continue;
    }
    const Json names = asked.is_array() ? asked : Json::array({asked});
    for (const Json& other : names) {
      if (!other.is_string()) return Wrong(site, "lists of names");
      Rules rules{.types = kObjectType};
      rules.objects = OneProperty(other.get<std::string>(), Never());
      rules.objects.required.insert(name);
      Breaks(std::move(rules));
    }
  }
  return Ok();
}

}  // namespace metier::grammar
