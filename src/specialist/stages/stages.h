// specialist/stages/stages.h - the rows of the stage table (specialist/stage.cc); one file each.
#pragma once

#include "specialist/stage.h"

namespace metier::specialist {

extern const StageKind kCommandStage;
extern const StageKind kTokenizerStage;
extern const StageKind kEncodeStage;
extern const StageKind kTrainStage;
extern const StageKind kEvaluateStage;
extern const StageKind kPackageStage;

}  // namespace metier::specialist
