// worlds/task.h - what a user wants in one conversation, and how to know whether they got it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace metier::worlds {

struct ToolCall {
  std::string name;
  Json arguments;
};

struct Task {
  std::string user_id;
  std::string instruction;           // for who plays the user; the agent does not see it
  std::vector<ToolCall> actions;     // calls that leave the database as it should be
  std::vector<std::string> outputs;  // what the agent has to have told the user
};

// {"user_id", "instruction", "actions": [{"name", "kwargs"}], "outputs": [...]}; other fields are
// for others. kInvalidArgument: not of this shape, with the place.
Result<Task> ReadTask(const Json& task);

// One task a line; empty lines are none. kDataCorrupt, kInvalidArgument: with the line's number.
Result<std::vector<Task>> ReadTaskLines(std::string_view text);

}  // namespace metier::worlds
