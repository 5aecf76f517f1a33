// text/template/json_text.h - the filter tojson: json.dumps as the reference calls it.
#pragma once

#include <optional>
#include <string>

#include "text/template/machine.h"

namespace metier::text::jinja {

struct JsonStyle {
  enum class Characters { kAll, kAsciiOnly };
  enum class Keys { kAsWritten, kSorted };
  Characters characters = Characters::kAll;
  Keys keys = Keys::kAsWritten;
  std::optional<std::string> indent;  // one level; absent: everything on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

// No HTML escaping. kInvalidArgument: something JSON has no form for (undefined, a macro).
Result<MarkedText> DumpJson(Machine& machine, const Value& value, const JsonStyle& style);

}  // namespace metier::text::jinja
