#include "worlds/trajectory.h"

#include <map>

#include "worlds/shape.h"
#include "worlds/tool.h"

namespace metier::worlds {
namespace {

constexpr std::string_view kUserStops = "###STOP###";

// A message's text; "" where it has none or null.
std::string ContentOf(const Json& message) {
  const auto content = message.find("content");
  return content != message.end() && content->is_string() ? content->get<std::string>() : "";
}

const Json& TrajectoryShape() {
  static const Json shape = {
      {"task_id", 0},
      {"trial", 0},
      {"reward", 0.5},
      {"info", {{"task", Json::object()}}},
      {"traj", Json::array({{{"role", "system|user|assistant|tool"}}})},
  };
  return shape;
}

Result<Trajectory> ReadTrajectory(const Json& json) {
  METIER_TRY(CheckShape(TrajectoryShape(), json, UnknownNames::kKept, "field"));
  METIER_ASSIGN(Task task, ReadTask(json.at("info").at("task")));
  return Trajectory{.task_id = json.at("task_id").get<std::int64_t>(),
                    .trial = json.at("trial").get<std::int64_t>(),
                    .reward = json.at("reward").get<double>(),
                    .task = std::move(task),
                    .messages = json.at("traj")};
}

// Reads the messages one by one into a replay.
class Replayer {
 public:
  explicit Replayer(const World& world) : replay_{Episode(world), {}} {}

  Status Read(const Json& message) {
    const std::string& role = TextOf(message, "role");
    if (role == "tool") return ReadObservation(message);
    const auto calls = message.find("tool_calls");
    if (role == "assistant" && calls != message.end() && !calls->is_null())
      return ReadCalls(*calls);
    if (role == "assistant") replay_.episode.Say(ContentOf(message));
    if (role == "user" && ContentOf(message).find(kUserStops) != std::string::npos)
      replay_.episode.UserLeaves();
    return Ok();
  }

  Result<Replay> Take() && {
    if (!waiting_.empty()) {
      return Error(ErrorCode::kInvalidArgument,
                   "call '" + waiting_.begin()->first + "' has no observation");
    }
    return std::move(replay_);
  }

 private:
  Status ReadCalls(const Json& calls) {
    const Json shape = Json::array({{{"id", ""}, {"function", {{"name", ""}, {"arguments", ""}}}}});
    METIER_TRY(CheckShape(shape, calls, UnknownNames::kKept, "tool call"));
    for (const Json& call : calls) {
      const Json& function = call.at("function");
      METIER_ASSIGN(Json arguments, ParseJson(TextOf(function, "arguments")));
      waiting_.insert_or_assign(TextOf(call, "id"),
                                ToolCall{TextOf(function, "name"), std::move(arguments)});
    }
    return Ok();
  }

  Status ReadObservation(const Json& message) {
    METIER_TRY(CheckShape({{"tool_call_id", ""}}, message, UnknownNames::kKept, "observation"));
    const auto call = waiting_.find(TextOf(message, "tool_call_id"));
    if (call == waiting_.end()) {
      return Error(ErrorCode::kInvalidArgument,
                   "observation of '" + TextOf(message, "tool_call_id") + "', which is no call");
    }
    std::string observed = replay_.episode.Call(call->second.name, call->second.arguments);
    replay_.calls.push_back({std::move(call->second), ContentOf(message), std::move(observed)});
    waiting_.erase(call);
    return Ok();
  }

  Replay replay_;
  std::map<std::string, ToolCall> waiting_;  // calls by id, until their observation is read
};

}  // namespace

Result<std::vector<Trajectory>> ReadTrajectories(std::string_view text) {
  METIER_ASSIGN(const Json json, ParseJson(text));
  if (!json.is_array())
    return Error(ErrorCode::kInvalidArgument, "expected a list of trajectories");
  std::vector<Trajectory> trajectories;
  for (const Json& item : json) {
    Result<Trajectory> trajectory = ReadTrajectory(item);
    if (!trajectory.ok()) {
      return std::move(trajectory)
          .error()
          .With("trajectory " + std::to_string(trajectories.size()));
    }
    trajectories.push_back(std::move(*trajectory));
  }
  return trajectories;
}

std::vector<Task> TasksOf(const std::vector<Trajectory>& trajectories) {
  std::map<std::int64_t, const Task*> by_id;
  for (const Trajectory& trajectory : trajectories)
    by_id.emplace(trajectory.task_id, &trajectory.task);
  std::vector<Task> tasks;
  for (const auto& [id, task] : by_id) tasks.push_back(*task);
  return tasks;
}

Result<Replay> ReplayTrajectory(const World& world, const Trajectory& trajectory) {
  Replayer replayer(world);
  for (std::size_t i = 0; i < trajectory.messages.size(); ++i) {
    Status read = replayer.Read(trajectory.messages[i]);
    if (!read.ok()) return std::move(read).error().With("message " + std::to_string(i));
  }
  return std::move(replayer).Take();
}

}  // namespace metier::worlds
