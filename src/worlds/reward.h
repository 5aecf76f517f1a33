// worlds/reward.h - did the user get what the task says?
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "worlds/episode.h"
#include "worlds/task.h"

namespace metier::worlds {

struct Reward {
  bool ended = false;  // the user left or was transferred; a conversation cut short earns nothing
  bool database = false;                              // as the task's own actions leave it
  std::vector<std::pair<std::string, bool>> outputs;  // each output, and whether it was said

  // 1 when all of it is so, else 0.
  double value() const;
};

// Compares a conversation with its task. An output was said when one utterance of the agent holds
// it: capitals and commas do not count ("1,786" is "1786").
// Cost: the task's actions run once; no more than a few calls.
Reward Score(const Episode& episode, const Task& task);

// The task's own actions in a new conversation, without those that would end it.
Episode PlayActions(const World& world, const Task& task);

}  // namespace metier::worlds
