#include <yaml-cpp/emitter.h>
#include <yaml-cpp/emittermanip.h>
#include <yaml-cpp/null.h>

#include <cmath>
#include <string>

#include "base/json.h"

namespace metier {
namespace {

// Plain only where reading gives exactly this text back; everything else is quoted.
void EmitText(const std::string& text, YAML::Emitter& out) {
  const auto read = ParseYaml(text);
  const bool plain = read.ok() && read->is_string() && read->get_ref<const std::string&>() == text;
  if (!plain) out << YAML::DoubleQuoted;
  out << text;
}

void Emit(const Json& value, YAML::Emitter& out) {
  if (value.is_object()) {
    if (value.empty()) out << YAML::Flow;
    out << YAML::BeginMap;
    for (const auto& [key, item] : value.items()) {
      out << YAML::Key;
      EmitText(key, out);
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
    EmitText(value.get_ref<const std::string&>(), out);
  } else if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    const auto number = value.get<double>();
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

}  // namespace metier
