#include "specialist/stage.h"

#include <array>

#include "specialist/stages/stages.h"

namespace metier::specialist {
namespace {

constexpr std::array kKinds = {&kCommandStage, &kTokenizerStage, &kEncodeStage,
                               &kTrainStage,   &kEvaluateStage,  &kPackageStage};

}  // namespace

Error Interrupted(const std::string& kept) { return {ErrorCode::kIo, "interrupted; " + kept}; }

std::span<const StageKind* const> StageKinds() { return kKinds; }

const StageKind* FindStageKind(std::string_view name) {
  for (const StageKind* kind : kKinds) {
    if (kind->name == name) return kind;
  }
  return nullptr;
}

}  // namespace metier::specialist
