#include "worlds/episode.h"

#include "base/nearest.h"
#include "worlds/shape.h"

namespace metier::worlds {

std::string Episode::Call(std::string_view name, const Json& arguments) {
  Result<std::string> observation = Run(name, arguments);
  return observation.ok() ? std::move(*observation) : "Error: " + observation.error().message();
}

Result<std::string> Episode::Run(std::string_view name, const Json& arguments) {
  if (end_ != EpisodeEnd::kOpen)
    return Error(ErrorCode::kInvalidArgument, "the conversation has ended");
  const World::Callable* callable = world_.FindTool(name);
  if (callable == nullptr) {
    const std::string nearest = NearestName(name, world_.ToolNames());
    return Error(ErrorCode::kNotFound,
                 "unknown tool '" + std::string(name) + "'" +
                     (nearest.empty() ? "" : ", the nearest is '" + nearest + "'"));
  }
  METIER_TRY(CheckShape(callable->shape, arguments, UnknownNames::kRefused, "argument"));
  METIER_ASSIGN(std::string observation, callable->tool->action(records_, arguments));
  if (callable->tool->after == AfterCall::kConversationEnds) end_ = EpisodeEnd::kTransferred;
  return observation;
}

void Episode::UserLeaves() {
  if (end_ == EpisodeEnd::kOpen) end_ = EpisodeEnd::kUserLeft;
}

}  // namespace metier::worlds
