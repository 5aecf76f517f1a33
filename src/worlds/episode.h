// worlds/episode.h - one conversation in a world: the calls made, what was said, and the records as
// they are by now.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "worlds/records.h"
#include "worlds/world.h"

namespace metier::worlds {

enum class EpisodeEnd {
  kOpen,         // still going on
  kUserLeft,     // the user said that this was all
  kTransferred,  // the agent handed the user over to a person
};

// Whether what a call gave is one of our errors.
inline bool IsError(std::string_view observation) { return observation.starts_with("Error: "); }

// Deterministic: the same calls give the same observations. Copies are independent, and cheap: what
// if the agent called this instead?
// Threads: one at a time; episodes of one world may run at once.
class Episode {
 public:
  explicit Episode(World world) : world_(std::move(world)), records_(world_.database()) {}

  // Runs a tool and returns what the agent is to read: JSON, a text, or "Error: ..." for an unknown
  // tool, arguments that are not the tool's, whatever the tool refuses, and any call after the
  // conversation's end. An error has changed nothing. Arguments are untrusted.
  std::string Call(std::string_view name, const Json& arguments);

  // Text that the agent says to the user.
  void Say(std::string text) { said_.push_back(std::move(text)); }

  // The user leaves; no effect once the conversation has ended.
  void UserLeaves();

  EpisodeEnd end() const { return end_; }
  const World& world() const { return world_; }
  const Records& records() const { return records_; }
  const std::vector<std::string>& said() const { return said_; }

 private:
  Result<std::string> Run(std::string_view name, const Json& arguments);

  World world_;
  Records records_;
  std::vector<std::string> said_;
  EpisodeEnd end_ = EpisodeEnd::kOpen;
};

}  // namespace metier::worlds
