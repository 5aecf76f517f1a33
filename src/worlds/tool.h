// worlds/tool.h - what a world's tools are made of.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "worlds/records.h"

namespace metier::worlds {

// Runs one call. `arguments` are of the tool's shape. The text is what the agent reads; an error's
// message is read as "Error: ...", and the records are then as they were.
using ToolAction = Result<std::string> (*)(Records& records, const Json& arguments);

enum class AfterCall { kContinue, kConversationEnds };

struct Tool {
  std::string_view name;
  // The arguments by name (worlds/shape.h), as JSON text.
  std::string_view arguments;
  ToolAction action;
  AfterCall after = AfterCall::kContinue;
};

struct TableSpec {
  std::string_view name;   // read from data/NAME.json
  std::string_view shape;  // of one record, as JSON text
};

// What a kind of world is, beside its data.
struct DomainSpec {
  std::string_view name;
  std::span<const TableSpec> tables;
  std::span<const Tool> tools;
};

// Three tools that both worlds have. The texts are the expression, the thought and the summary.
Result<std::string> CalculateTool(Records& records, const Json& arguments);
Result<std::string> ThinkTool(Records& records, const Json& arguments);
Result<std::string> TransferTool(Records& records, const Json& arguments);

// The record as the agent reads it. kNotFound "user not found": there is none; `what` names it.
Result<std::string> RecordText(const Json* record, std::string_view what);

// A string among a call's arguments, or any object's. Requires that it is there.
const std::string& TextOf(const Json& object, std::string_view name);

}  // namespace metier::worlds
