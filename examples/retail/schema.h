// retail/schema.h - the tools as tools.json describes them, and the check of a call against them.
//
// Knows the part of JSON Schema that tools.json uses: type, properties, required,
// additionalProperties, enum, pattern, minimum, maximum. Any other keyword is refused when read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace metier::retail {

class ToolSet {
 public:
  // kDataCorrupt: not an array of {"type":"function","function":{name, description, parameters}}.
  // kUnsupported: a keyword of the schema that we do not check.
  static Result<ToolSet> Parse(std::string_view text);

  // tools.json as shipped.
  static const ToolSet& Ours();

  // kNotFound: no tool of that name.  kInvalidArgument: arguments that the schema refuses; the
  // message names the argument, what was found and what was expected.
  Status Check(std::string_view tool, const Json& arguments) const;

  std::vector<std::string> Names() const;
  const Json& json() const { return tools_; }

 private:
  Json tools_;
};

}  // namespace metier::retail
