#include "worlds/task.h"

#include <algorithm>

#include "worlds/shape.h"
#include "worlds/tool.h"

namespace metier::worlds {

Result<Task> ReadTask(const Json& task) {
  const Json shape = {{"user_id", ""},
                      {"instruction", ""},
                      {"actions", Json::array({{{"name", ""}, {"kwargs", Json::object()}}})},
                      {"outputs", Json::array({""})}};
  METIER_TRY(CheckShape(shape, task, UnknownNames::kKept, "task field"));
  Task read{.user_id = TextOf(task, "user_id"),
            .instruction = TextOf(task, "instruction"),
            .outputs = task.at("outputs").get<std::vector<std::string>>()};
  for (const Json& action : task.at("actions"))
    read.actions.push_back({TextOf(action, "name"), action.at("kwargs")});
  return read;
}

Result<std::vector<Task>> ReadTaskLines(std::string_view text) {
  std::vector<Task> tasks;
  std::size_t number = 0;
  while (!text.empty()) {
    ++number;
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.find_first_not_of(" \r\t") == std::string_view::npos) continue;
    const std::string place = "line " + std::to_string(number);
    Result<Json> json = ParseJson(line);
    if (!json.ok()) return std::move(json).error().With(place);
    Result<Task> task = ReadTask(*json);
    if (!task.ok()) return std::move(task).error().With(place);
    tasks.push_back(std::move(*task));
  }
  return tasks;
}

}  // namespace metier::worlds
