#include "retail/schema.h"

#include <regex.h>

#include <algorithm>
#include <array>

#include "base/nearest.h"
#include "fmt/format.h"
#include "retail/embedded.h"

namespace metier::retail {
namespace {

// A POSIX extended expression: all that the patterns of ids need, and no exceptions.
class Pattern {
 public:
  explicit Pattern(const std::string& text)
      : good_(regcomp(&compiled_, text.c_str(), REG_EXTENDED | REG_NOSUB) == 0) {}
  ~Pattern() {
    if (good_) regfree(&compiled_);
  }
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;

  bool good() const { return good_; }
  bool Matches(const std::string& text) const {
    return good_ && regexec(&compiled_, text.c_str(), 0, nullptr, 0) == 0;
  }

 private:
  regex_t compiled_{};
  bool good_;
};

bool HasType(const Json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "string") return value.is_string();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  return type == "boolean" && value.is_boolean();
}

Error Wrong(std::string_view where, const Json& found, const std::string& expected) {
  return {ErrorCode::kInvalidArgument,
          fmt::format("{}: {}, expected {}", where, DumpCompact(found), expected)};
}

Error Unfit(const std::string& what) {
  return {ErrorCode::kDataCorrupt, fmt::format("tools: {}", what)};
}

const Json* Member(const Json& object, std::string_view name, Json::value_t type) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(std::string(name));
  return it != object.end() && it->type() == type ? &*it : nullptr;
}

Status CheckKeywords(const Json& schema, const std::string& where) {
  static constexpr std::array<std::string_view, 8> kKnown = {
      "type", "properties", "required", "additionalProperties",
      "enum", "pattern",    "minimum",  "maximum"};
  if (!schema.is_object() || Member(schema, "type", Json::value_t::string) == nullptr) {
    return Unfit(where + ": a schema is an object with a \"type\"");
  }
  for (const auto& [key, value] : schema.items()) {
    if (std::find(kKnown.begin(), kKnown.end(), key) == kKnown.end()) {
      return Error(ErrorCode::kUnsupported,
                   fmt::format("tools: {}: the schema keyword '{}' is not supported", where, key));
    }
    const bool well_typed = key == "type" || key == "pattern"    ? value.is_string()
                            : key == "required" || key == "enum" ? value.is_array()
                            : key == "properties"                ? value.is_object()
                            : key == "additionalProperties"
                                ? value.is_boolean() && !value.get<bool>()
                                : value.is_number_integer();
    if (!well_typed) return Unfit(fmt::format("{}: '{}' has the wrong type", where, key));
    if (key == "pattern" && !Pattern(value.get<std::string>()).good()) {
      return Unfit(fmt::format("{}: the pattern is no regular expression", where));
    }
    if (key != "properties") continue;
    for (const auto& [name, property] : value.items()) {
      METIER_TRY(CheckKeywords(property, where + "." + name));
    }
  }
  return Ok();
}

Status CheckScalar(const Json& schema, const Json& value, const std::string& where) {
  if (const Json* choices = Member(schema, "enum", Json::value_t::array)) {
    if (std::find(choices->begin(), choices->end(), value) == choices->end()) {
      return Wrong(where, value, "one of " + DumpCompact(*choices));
    }
  }
  if (const Json* pattern = Member(schema, "pattern", Json::value_t::string)) {
    const std::string expression = pattern->get<std::string>();
    if (value.is_string() && !Pattern(expression).Matches(value.get<std::string>())) {
      return Wrong(where, value, "a string that matches " + expression);
    }
  }
  if (value.is_number_integer()) {
    const auto low = schema.find("minimum");
    const auto high = schema.find("maximum");
    if ((low != schema.end() && value < *low) || (high != schema.end() && value > *high)) {
      return Wrong(where, value,
                   fmt::format("{} to {}", low != schema.end() ? DumpCompact(*low) : "any",
                               high != schema.end() ? DumpCompact(*high) : "any"));
    }
  }
  return Ok();
}

Status CheckValue(const Json& schema, const Json& value, const std::string& where) {
  const std::string type = Member(schema, "type", Json::value_t::string)->get<std::string>();
  if (!HasType(value, type)) return Wrong(where, value, "type " + type);
  METIER_TRY(CheckScalar(schema, value, where));
  if (!value.is_object()) return Ok();
  const Json* properties = Member(schema, "properties", Json::value_t::object);
  if (const Json* required = Member(schema, "required", Json::value_t::array)) {
    for (const Json& name : *required) {
      if (name.is_string() && !value.contains(name.get<std::string>())) {
        return Wrong(where, value, "'" + name.get<std::string>() + "' to be given");
      }
    }
  }
  for (const auto& [name, member] : value.items()) {
    if (properties != nullptr && properties->contains(name)) {
      METIER_TRY(CheckValue((*properties)[name], member, where + "." + name));
    } else if (schema.contains("additionalProperties")) {
      return Wrong(where + "." + name, member, "no argument of that name");
    }
  }
  return Ok();
}

}  // namespace

Result<ToolSet> ToolSet::Parse(std::string_view text) {
  ToolSet out;
  METIER_ASSIGN(out.tools_, ParseJson(text));
  if (!out.tools_.is_array()) return Unfit("expected an array");
  for (const Json& tool : out.tools_) {
    const Json* function = Member(tool, "function", Json::value_t::object);
    if (function == nullptr) return Unfit("a tool without \"function\"");
    const Json* name = Member(*function, "name", Json::value_t::string);
    const Json* parameters = Member(*function, "parameters", Json::value_t::object);
    if (name == nullptr || parameters == nullptr) return Unfit("a tool without name or parameters");
    METIER_TRY(CheckKeywords(*parameters, name->get<std::string>()));
  }
  return out;
}

const ToolSet& ToolSet::Ours() {
  static const ToolSet tools = [] {
    Result<ToolSet> parsed = Parse(EmbeddedText("tools.json"));
    METIER_CHECK(parsed.ok(), parsed.error().message().c_str());
    return std::move(parsed).value();
  }();
  return tools;
}

std::vector<std::string> ToolSet::Names() const {
  std::vector<std::string> out;
  for (const Json& tool : tools_) out.push_back(tool["function"]["name"].get<std::string>());
  return out;
}

Status ToolSet::Check(std::string_view tool, const Json& arguments) const {
  for (const Json& candidate : tools_) {
    const Json& function = candidate["function"];
    if (function["name"].get<std::string>() == tool) {
      return CheckValue(function["parameters"], arguments, std::string(tool));
    }
  }
  const std::vector<std::string> names = Names();
  const std::string nearest = NearestName(tool, names);
  return Error(ErrorCode::kNotFound,
               fmt::format("tool '{}': not one of the shop's tools{}", tool,
                           nearest.empty() ? "" : "; did you mean '" + nearest + "'?"));
}

}  // namespace metier::retail
