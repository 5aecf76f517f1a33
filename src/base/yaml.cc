#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <string>

#include "base/file.h"
#include "base/json.h"

namespace metier {
namespace {

// A plain scalar by the YAML 1.2 core schema: "yes" and "on" are strings, which is what people
// mean.
Json Scalar(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL")
    return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  if (text == ".inf" || text == "+.inf") return std::numeric_limits<double>::infinity();
  if (text == "-.inf") return -std::numeric_limits<double>::infinity();
  if (text == ".nan") return std::nan("");
  const bool plus = text.size() > 1 && text[0] == '+' && text[1] != '-';
  const char* begin = text.data() + (plus ? 1 : 0);
  const char* end = text.data() + text.size();
  std::int64_t integer = 0;
  if (const auto r = std::from_chars(begin, end, integer); r.ec == std::errc() && r.ptr == end)
    return integer;
  std::uint64_t large = 0;
  if (const auto r = std::from_chars(begin, end, large); r.ec == std::errc() && r.ptr == end)
    return large;
  // from_chars also takes "inf" and "nan", which YAML spells with a dot.
  if (text.find_first_of("0123456789") != std::string::npos) {
    double number = 0;
    if (const auto r = std::from_chars(begin, end, number); r.ec == std::errc() && r.ptr == end)
      return number;
  }
  return text;
}

class Converter {
 public:
  explicit Converter(const Limits& limits) : limits_(limits) {}

  Result<Json> Convert(const YAML::Node& node, int depth) {
    if (depth > limits_.max_json_depth) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("YAML: nested deeper than the limit of {}", limits_.max_json_depth));
    }
    if (++nodes_ > limits_.max_yaml_nodes) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("YAML: more than {} nodes after aliases are expanded",
                               limits_.max_yaml_nodes));
    }
    if (node.IsMap()) return Map(node, depth);
    if (node.IsSequence()) {
      Json array = Json::array();
      for (const YAML::Node& item : node) {
        METIER_ASSIGN(Json value, Convert(item, depth + 1));
        array.push_back(std::move(value));
      }
      return array;
    }
    if (!node.IsScalar()) return Json(nullptr);
    // yaml-cpp tags a quoted scalar "!" and a plain one "?".
    return node.Tag() == "!" ? Json(node.Scalar()) : Scalar(node.Scalar());
  }

 private:
  Result<Json> Map(const YAML::Node& node, int depth) {
    Json object = Json::object();
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) {
        return Error(ErrorCode::kDataCorrupt, fmt::format("YAML line {}: a key must be plain text",
                                                          entry.first.Mark().line + 1));
      }
      const std::string& key = entry.first.Scalar();
      if (object.contains(key)) {
        return Error(ErrorCode::kDataCorrupt, fmt::format("YAML line {}: key '{}' stands twice",
                                                          entry.first.Mark().line + 1, key));
      }
      METIER_ASSIGN(Json value, Convert(entry.second, depth + 1));
      object[key] = std::move(value);
    }
    return object;
  }

  const Limits& limits_;
  std::uint64_t nodes_ = 0;
};

// yaml-cpp's parser recurses; refuse documents whose brackets or indentation could exhaust the
// stack before it starts.
Status CheckNesting(std::string_view text, const Limits& limits) {
  int depth = 0;
  int dashes = 0;  // "- - - -" nests without brackets
  for (const char c : text) {
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && depth > 0) --depth;
    dashes = c == '\n' ? 0 : dashes + ((c == '-' || c == '?' || c == ':') ? 1 : 0);
    if (depth > limits.max_json_depth || dashes > 16 * limits.max_json_depth) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("YAML: nested deeper than the limit of {}", limits.max_json_depth));
    }
  }
  return Ok();
}

// Text that ParseYaml would take for something else must be quoted; so must what YAML gives a
// meaning to.
void EmitScalar(const std::string& text, YAML::Emitter& out) {
  const bool plain = Scalar(text).is_string() && text.find('\n') == std::string::npos;
  if (!plain) out << YAML::DoubleQuoted;
  out << text;
}

void Emit(const Json& value, YAML::Emitter& out) {
  if (value.is_object()) {
    if (value.empty()) out << YAML::Flow;
    out << YAML::BeginMap;
    for (const auto& [key, item] : value.items()) {
      out << YAML::Key;
      EmitScalar(key, out);
      out << YAML::Value;
      Emit(item, out);
    }
    out << YAML::EndMap;
  } else if (value.is_array()) {
    if (value.empty()) out << YAML::Flow;
    out << YAML::BeginSeq;
    for (const Json& item : value) Emit(item, out);
    out << YAML::EndSeq;
  } else if (value.is_string()) {
    EmitScalar(value.get_ref<const std::string&>(), out);
  } else if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    const double number = value.get<double>();
    out << (std::isnan(number) ? ".nan" : number > 0 ? ".inf" : "-.inf");
  } else if (value.is_null()) {
    out << YAML::Null;
  } else {
    out << DumpCompact(value);
  }
}

}  // namespace

std::string DumpYaml(const Json& value) {
  YAML::Emitter out;
  Emit(value, out);
  return std::string(out.c_str()) + "\n";
}

Result<Json> ParseYaml(std::string_view text, const Limits& limits) {
  if (text.size() > limits.max_json_bytes) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("YAML: {} bytes, limit {}", text.size(), limits.max_json_bytes));
  }
  METIER_TRY(CheckNesting(text, limits));
  try {
    return Converter(limits).Convert(YAML::Load(std::string(text)), 0);
  } catch (const YAML::Exception& why) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("YAML line {}: {}", why.mark.line + 1, why.msg));
  } catch (const std::exception& why) {  // the library lets standard exceptions through
    return Error(ErrorCode::kDataCorrupt, fmt::format("YAML: {}", why.what()));
  }
}

Result<Json> ReadYamlFile(const std::string& path, const Limits& limits) {
  METIER_ASSIGN(const std::string text, ReadFile(path, limits.max_json_bytes));
  auto parsed = ParseYaml(text, limits);
  if (!parsed.ok()) return std::move(parsed).error().With("'" + path + "'");
  return parsed;
}

}  // namespace metier
