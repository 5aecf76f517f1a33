#include "recipe/fields.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/nearest.h"

namespace metier::recipe {
namespace internal {

std::string Describe(const Json& value) {
  constexpr std::size_t kShown = 40;
  if (value.is_object()) return "a mapping";
  if (value.is_array()) return "a list";
  if (value.is_null()) return "nothing";
  std::string text = DumpCompact(value);
  if (text.size() > kShown) text = text.substr(0, kShown) + "...";
  return text;
}

Error WrongType(const std::string& path, std::string_view expected, const Json& found) {
  return Error(ErrorCode::kDataCorrupt,
               fmt::format("{}: found {}, expected {}", path, Describe(found), expected));
}

Error UnknownKey(const std::string& path, const std::string& key,
                 const std::vector<std::string>& known) {
  const std::string nearest = NearestName(key, known);
  if (!nearest.empty()) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("{}: unknown key '{}': did you mean '{}'?", path, key, nearest));
  }
  return Error(ErrorCode::kDataCorrupt, fmt::format("{}: unknown key '{}': expected one of {}",
                                                    path, key, fmt::join(known, ", ")));
}

Status CheckNumber(const std::string& path, double value, const Constraint& constraint) {
  const bool low =
      constraint.least_excluded ? !(value > constraint.least) : !(value >= constraint.least);
  if (std::isnan(value) || low || value > constraint.most) {
    std::string expected;
    if (std::isfinite(constraint.least)) {
      expected +=
          fmt::format("{} {}", constraint.least_excluded ? "above" : "at least", constraint.least);
    }
    if (std::isfinite(constraint.most)) {
      expected += fmt::format("{}at most {}", expected.empty() ? "" : " and ", constraint.most);
    }
    if (expected.empty()) expected = "a number";
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("{}: found {}, expected {}", path, value, expected));
  }
  return Ok();
}

Status CheckChoice(const std::string& path, const std::string& value,
                   const Constraint& constraint) {
  const auto& choices = constraint.choices;
  if (choices.empty() || std::find(choices.begin(), choices.end(), value) != choices.end())
    return Ok();
  return Error(ErrorCode::kDataCorrupt, fmt::format("{}: found \"{}\", expected one of {}", path,
                                                    value, fmt::join(choices, ", ")));
}

Status CheckIsObject(const std::string& path, const Json& value) {
  if (!value.is_object()) return WrongType(path, "a mapping of keys to values", value);
  return Ok();
}

Result<std::int64_t> ReadInteger(const std::string& path, const Json& value) {
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX) {
    return WrongType(path, "a whole number of at most 63 bits", value);
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_number_float()) {  // YAML writes 1e6 as a float
    const double number = value.get<double>();
    constexpr double kExact = 9007199254740992.0;  // 2^53
    if (std::trunc(number) == number && std::fabs(number) <= kExact)
      return static_cast<std::int64_t>(number);
  }
  return WrongType(path, "a whole number", value);
}

}  // namespace internal

Status FieldReader::Read(const Json& document) {
  for (const auto& [key, value] : document.items()) {
    const auto entry =
        std::find_if(entries_.begin(), entries_.end(),
                     [&key = key](const Entry& candidate) { return candidate.name == key; });
    if (entry == entries_.end()) {
      std::vector<std::string> known;
      for (const Entry& candidate : entries_) known.push_back(candidate.name);
      return internal::UnknownKey(path_, key, known);
    }
    const std::string path = path_.empty() ? entry->name : path_ + "." + entry->name;
    METIER_TRY(entry->read(value, path, entry->constraint));
  }
  for (const Entry& entry : entries_) {
    if (entry.constraint.required && !document.contains(entry.name)) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("{}: key '{}' is required and absent", path_, entry.name));
    }
  }
  return Ok();
}

Json SchemaWriter::Finish() const {
  Json properties = Json::object();
  Json required = Json::array();
  for (const Entry& entry : entries_) {
    Json property = entry.type;
    property["description"] = entry.help;
    Json& values = property.contains("items") ? property["items"] : property;
    if (!entry.constraint.choices.empty()) values["enum"] = entry.constraint.choices;
    if (std::isfinite(entry.constraint.least)) {
      values[entry.constraint.least_excluded ? "exclusiveMinimum" : "minimum"] =
          entry.constraint.least;
    }
    if (std::isfinite(entry.constraint.most)) values["maximum"] = entry.constraint.most;
    if (entry.constraint.required) {
      required.push_back(entry.name);
    } else {
      property["default"] = entry.fallback;
    }
    properties[entry.name] = std::move(property);
  }
  Json schema = {
      {"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
  if (!required.empty()) schema["required"] = std::move(required);
  return schema;
}

}  // namespace metier::recipe
