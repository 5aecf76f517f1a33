// worlds/trajectory.h - recorded conversations of agents with users, and their replay in a world.
//
// A file is a list of {"task_id", "trial", "reward", "info": {"task": {...}}, "traj": [messages]},
// the messages as OpenAI's interface has them: what an agent calls stands in `tool_calls`, what it
// read in a message of role "tool". A user's "###STOP###" ends the conversation.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "worlds/episode.h"
#include "worlds/task.h"

namespace metier::worlds {

struct Trajectory {
  std::int64_t task_id = 0;
  std::int64_t trial = 0;
  double reward = 0;  // as recorded
  Task task;
  Json messages;
};

// kDataCorrupt: not JSON. kInvalidArgument: not of the shape above, with the trajectory's place.
Result<std::vector<Trajectory>> ReadTrajectories(std::string_view text);

// The tasks that the trajectories are about, by task_id, each once.
std::vector<Task> TasksOf(const std::vector<Trajectory>& trajectories);

struct ReplayedCall {
  ToolCall call;
  std::string recorded;  // what the agent read then
  std::string observed;  // what our tool gives
};

struct Replay {
  Episode episode;
  std::vector<ReplayedCall> calls;
};

// Runs a trajectory's calls and takes over what agent and user said. Later calls follow the
// recorded conversation even where an observation of ours differs from what the agent read.
// kInvalidArgument: arguments that are not JSON, an observation without a call or a call without
// one.
Result<Replay> ReplayTrajectory(const World& world, const Trajectory& trajectory);

}  // namespace metier::worlds
