// text/tool_dialect.h - how a model writes tool calls, and reading them back.
//
//   hermes   <tool_call>{"name": ..., "arguments": {...}}</tool_call>, any number, text before them
//            (Hermes, Qwen)
//   llama3   the whole reply is {"name": ..., "parameters": {...}} (Llama 3.1 and later)
//   mistral  [TOOL_CALLS][{"name": ..., "arguments": {...}}, ...] (Mistral)
//
// What a reply may contain is decided by the dialect alone; nothing is guessed from broken JSON.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace metier::text {

enum class ToolDialect { kNone, kHermes, kLlama3, kMistral };

std::string_view ToolDialectName(ToolDialect dialect);
// kInvalidArgument: an unknown name, with the known ones.
Result<ToolDialect> ToolDialectFromName(std::string_view name);

// The dialect that a chat template teaches, by the markers in its source; kNone when it has none.
ToolDialect DetectToolDialect(std::string_view template_source);

struct ToolCall {
  std::string name;
  Json arguments;  // an object
};

struct Reply {
  std::string content;  // what is said beside the calls, surrounding white space removed
  std::vector<ToolCall> calls;
};

// Without the white space at both ends, as Reply::content is.
std::string_view Trim(std::string_view text);

// kDataCorrupt: a call is opened but not well-formed: broken JSON, no name, arguments that are no
// object.
Result<Reply> ParseReply(ToolDialect dialect, std::string_view text);

// The same call? Names equal, arguments equal as JSON values: key order does not matter, 1
// equals 1.0.
bool SameCall(const ToolCall& a, const ToolCall& b);

// Equality of JSON values as above.
bool SameJson(const Json& a, const Json& b);

}  // namespace metier::text
