// train/agreement.h - what the workers of a run must have alike, and what they count together.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "train/objective.h"
#include "train/workers.h"

namespace metier::train {

// Compares what each worker has to say with worker 0's; called by all. kInvalidArgument: the first
// difference, with its key and whose it is; the same error in every worker.
Status AgreeOn(Workers& workers, const Json& own);

// The sums over all workers; called by all.
Status SumTally(Workers& workers, Tally& tally);

}  // namespace metier::train
