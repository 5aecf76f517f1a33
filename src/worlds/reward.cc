#include "worlds/reward.h"

#include <algorithm>

namespace metier::worlds {
namespace {

// ASCII capitals as small letters, without commas.
std::string Plain(std::string_view text) {
  std::string plain;
  for (const char c : text)
    if (c != ',') plain += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return plain;
}

}  // namespace

double Reward::value() const {
  const bool all_said =
      std::all_of(outputs.begin(), outputs.end(), [](const auto& output) { return output.second; });
  return ended && database && all_said ? 1 : 0;
}

Episode PlayActions(const World& world, const Task& task) {
  Episode episode(world);
  for (const ToolCall& action : task.actions) {
    const World::Callable* callable = world.FindTool(action.name);
    if (callable != nullptr && callable->tool->after == AfterCall::kConversationEnds) continue;
    episode.Call(action.name, action.arguments);
  }
  return episode;
}

Reward Score(const Episode& episode, const Task& task) {
  Reward reward{.ended = episode.end() != EpisodeEnd::kOpen,
                .database = episode.records() == PlayActions(episode.world(), task).records()};
  for (const std::string& output : task.outputs) {
    const std::string wanted = Plain(output);
    const bool said = std::any_of(
        episode.said().begin(), episode.said().end(),
        [&](const std::string& text) { return Plain(text).find(wanted) != std::string::npos; });
    reward.outputs.emplace_back(output, said);
  }
  return reward;
}

}  // namespace metier::worlds
