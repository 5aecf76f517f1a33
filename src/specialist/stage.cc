#include "specialist/stage.h"

#include <array>
#include <utility>

#include "specialist/stages/stages.h"

namespace metier::specialist {
namespace {

constexpr std::array kKinds = {&kCommandStage, &kTokenizerStage, &kEncodeStage,
                               &kTrainStage,   &kEvaluateStage,  &kPackageStage};

}  // namespace

Error Interrupted(const std::string& kept) { return {ErrorCode::kIo, "interrupted; " + kept}; }

OnProgress StageContext::Watch(std::string label, std::string kept) const {
  return ShowProgress(std::move(label), [this, kept = std::move(kept)]() -> Status {
    if (StopAsked()) return Interrupted(kept);
    return Ok();
  });
}

std::span<const StageKind* const> StageKinds() { return kKinds; }

const StageKind* FindStageKind(std::string_view name) {
  for (const StageKind* kind : kKinds) {
    if (kind->name == name) return kind;
  }
  return nullptr;
}

}  // namespace metier::specialist
