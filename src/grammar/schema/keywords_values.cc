// Keywords of Expander (expander.h) about types, numbers, texts and sizes.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "grammar/schema/expander.h"
#include "grammar/schema/formats.h"

namespace metier::grammar {
namespace {

constexpr std::pair<std::string_view, Types> kTypeNames[] = {
    {"null", kNullType},     {"boolean", kFalseType | kTrueType},
    {"number", kNumberType}, {"integer", kNumberType},
    {"string", kStringType}, {"array", kArrayType},
    {"object", kObjectType}};
constexpr std::int64_t kLargestCount = 1 << 30;

}  // namespace

// `integer`: numbers are among them as integers alone.
Result<Types> Expander::TypesOf(const Site& site, bool& integer) const {
  Types types = 0;
  bool any_number = false;
  integer = false;
  const Json names = site.value.is_array() ? site.value : Json::array({site.value});
  for (const Json& name : names) {
    const auto known = std::ranges::find_if(kTypeNames, [&](const auto& type) {
      return name.is_string() && name.get_ref<const std::string&>() == type.first;
    });
    if (known == std::end(kTypeNames)) return Wrong(site, "names of JSON's types");
    types |= known->second;
    any_number = any_number || known->first == "number";
    integer = integer || known->first == "integer";
  }
  integer = integer && !any_number;
  return types;
}

Status Expander::Type(const Site& site, Branch& branch) {
  bool integer = false;
  METIER_ASSIGN(const Types types, TypesOf(site, integer));
  branch.rules.types &= types;
  if (integer) branch.rules.numbers.integer = true;
  return Ok();
}

Status Expander::NotType(const Site& site, Branch&) {
  bool integer = false;
  METIER_ASSIGN(const Types types, TypesOf(site, integer));
  Breaks(Rules{.types = kAllTypes & ~types});
  if (!integer) return Ok();
  Rules fractions{.types = kNumberType};
  fractions.numbers.fractional = true;
  Breaks(std::move(fractions));
  return Ok();
}

// Scalars together; an array or object by itself each.
Status Expander::Enum(const Site& site, Branch& branch) {
  if (site.key == "enum" && !site.value.is_array()) return Wrong(site, "a list of values");
  const Json values = site.key == "enum" ? site.value : Json::array({site.value});
  Rules scalars{.types = 0};
  scalars.numbers.allowed.emplace();
  scalars.strings.allowed.emplace();
  Choice choice;
  for (const Json& value : values) {
    if (value.is_structured()) {
      choice.push_back({{{tree_.EqualTo(value), false}}, {}});
    } else if (value.is_null()) {
      scalars.types |= kNullType;
    } else if (value.is_boolean()) {
      scalars.types |= value.get<bool>() ? kTrueType : kFalseType;
    } else if (value.is_string()) {
      scalars.types |= kStringType;
      scalars.strings.allowed->insert(value.get<std::string>());
    } else {
      scalars.types |= kNumberType;
      scalars.numbers.allowed->push_back(DecimalOf(value));
    }
  }
  if (choice.empty()) {
    branch.rules.And(scalars);
    return Ok();
  }
  choice.push_back({{}, std::move(scalars)});
  branch.choices.push_back(std::move(choice));
  return Ok();
}

Status Expander::NotEnum(const Site& site, Branch&) {
  if (site.key == "enum" && !site.value.is_array()) return Wrong(site, "a list of values");
  const Json values = site.key == "enum" ? site.value : Json::array({site.value});
  Rules rules;
  std::vector<Literal> literals;
  for (const Json& value : values) {
    if (value.is_structured()) literals.push_back({tree_.EqualTo(value), true});
    if (value.is_null()) rules.types &= ~kNullType;
    if (value.is_boolean()) rules.types &= ~(value.get<bool>() ? kTrueType : kFalseType);
    if (value.is_string()) rules.strings.refused.insert(value.get<std::string>());
    if (value.is_number()) rules.numbers.refused.push_back(DecimalOf(value));
  }
  Breaks(std::move(literals), std::move(rules));
  return Ok();
}

// In draft 4 exclusiveMinimum is a boolean beside minimum.
Status Expander::Bound(const Site& site, Branch& branch) {
  const bool exclusive = site.key.starts_with("exclusive");
  if (exclusive && site.value.is_boolean()) return Ok();
  if (!site.value.is_number()) return Wrong(site, "a number");
  const bool least = site.key == "minimum" || site.key == "exclusiveMinimum";
  const auto beside = site.schema.find(least ? "exclusiveMinimum" : "exclusiveMaximum");
  const bool open = exclusive || (beside != site.schema.end() && *beside == Json(true));
  NumberRules rules;
  (least ? rules.least : rules.most) = NumberRules::Bound{DecimalOf(site.value), open};
  branch.rules.numbers.And(rules);
  return Ok();
}

Status Expander::NotBound(const Site& site, Branch&) {
  Branch bound;
  METIER_TRY(Bound(site, bound));
  const NumberRules& rules = bound.rules.numbers;
  if (!rules.least && !rules.most) return Ok();
  Rules opposite{.types = kNumberType};
  if (rules.least)
    opposite.numbers.most = NumberRules::Bound{rules.least->value, !rules.least->open};
  if (rules.most) opposite.numbers.least = NumberRules::Bound{rules.most->value, !rules.most->open};
  Breaks(std::move(opposite));
  return Ok();
}

Status Expander::MultipleOf(const Site& site, Branch& branch) {
  if (!site.value.is_number() || site.value.get<double>() <= 0)
    return Wrong(site, "a number above 0");
  branch.rules.numbers.multiples_of.push_back(DecimalOf(site.value));
  return Ok();
}

Result<std::int64_t> Expander::Count(const Site& site) const {
  const double value = site.value.is_number() ? site.value.get<double>() : -1;
  if (value < 0 || value != std::floor(value)) return Wrong(site, "a count");
  return static_cast<std::int64_t>(std::min(value, static_cast<double>(kLargestCount)));
}

Status Expander::Sizes(const Site& site, Branch& branch) {
  METIER_ASSIGN(const std::int64_t count, Count(site));
  Rules rules;
  if (site.key == "minLength") rules.strings.least = count;
  if (site.key == "maxLength") rules.strings.most = count;
  if (site.key == "minItems") rules.arrays.least = count;
  if (site.key == "maxItems") rules.arrays.most = count;
  if (site.key == "minProperties") rules.objects.least = count;
  if (site.key == "maxProperties") rules.objects.most = count;
  branch.rules.And(rules);
  return Ok();
}

Status Expander::NotSizes(const Site& site, Branch&) {
  METIER_ASSIGN(const std::int64_t count, Count(site));
  if (count == 0 && site.key.starts_with("min")) return Ok();
  Rules rules;
  if (site.key == "minLength") rules.strings.most = count - 1;
  if (site.key == "maxLength") rules.strings.least = count + 1;
  if (site.key == "minItems") rules.arrays.most = count - 1;
  if (site.key == "maxItems") rules.arrays.least = count + 1;
  if (site.key == "minProperties") rules.objects.most = count - 1;
  if (site.key == "maxProperties") rules.objects.least = count + 1;
  rules.types = site.key.ends_with("Length")  ? kStringType
                : site.key.ends_with("Items") ? kArrayType
                                              : kObjectType;
  Breaks(std::move(rules));
  return Ok();
}

Status Expander::PatternKeyword(const Site& site, Branch& branch) {
  if (!site.value.is_string()) return Wrong(site, "a text");
  Result<SharedDfa> language = PatternLanguage(site.value.get<std::string>());
  if (language.ok()) {
    branch.rules.strings.within.push_back(*language);
  } else {
    branch.rules.unknown.push_back(
        {kStringType, Unsupported(site, language.error().message()).message()});
  }
  return Ok();
}

Status Expander::NotPattern(const Site& site, Branch&) {
  Branch holds;
  METIER_TRY(PatternKeyword(site, holds));
  Rules rules{.types = kStringType};
  rules.strings.outside = holds.rules.strings.within;
  rules.unknown = holds.rules.unknown;
  Breaks(std::move(rules));
  return Ok();
}

// Formats that we do not know say nothing: that is what a validator makes of them too.
Status Expander::Format(const Site& site, Branch& branch) {
  if (!site.value.is_string()) return Wrong(site, "a text");
  const SharedDfa language = FormatLanguage(site.value.get_ref<const std::string&>());
  if (language != nullptr) branch.rules.strings.within.push_back(language);
  return Ok();
}

// A format is an annotation first: what must not hold is not what only may be asked for.
Status Expander::NotFormat(const Site&, Branch&) { return Ok(); }

}  // namespace metier::grammar
