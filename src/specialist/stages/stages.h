// specialist/stages/stages.h - the rows of the stage table (specialist/stage.cc); one file each.
#pragma once

#include "specialist/stage.h"

namespace metier::specialist {

extern const StageKind kCommandStage;
extern const StageKind kTrainStage;
extern const StageKind kPackageStage;

}  // namespace metier::specialist
