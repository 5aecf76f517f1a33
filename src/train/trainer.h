// train/trainer.h - one training run from its configuration to the exported model.
//
// Everything that a step does follows from (configuration, data, step): no generator has a state
// that a checkpoint could miss. A resumed run gives the same bits as one that was never stopped;
// why and under which conditions: docs/adr/0010.
#pragma once

#include <functional>

#include "base/json.h"
#include "base/result.h"
#include "recipe/train_config.h"

namespace metier::train {

// Receives {"event": "step" | "evaluating" | "eval" | "log" | "checkpoint", ...}. Returns true to
// ask for a checkpoint and the end of the run.
using EventSink = std::function<bool(const Json& event)>;

// Asks the program that runs this for what it alone knows (include/metier/train_plugin.h).
using Ask = std::function<Result<Json>(const Json& question)>;

// Returns {"steps", "total_steps", "final_loss", "eval_loss", "output", "stopped", "checkpoint",
// "tokens_per_second", ...}. `output` is the exported model or adapter, absent when the run was
// stopped.
//
// kDataCorrupt: data that do not fit the model; the loss or its gradient is not finite (the run
// ends with its last checkpoint intact).  kInvalidArgument: a checkpoint of another configuration;
// a device that is not there.  kResourceExhausted, kIo: the disk.  kUnsupported: a stage that asks,
// of a program that does not answer; and what it answers.
Result<Json> Train(const recipe::TrainConfig& config, const EventSink& sink, const Ask& ask = {});

}  // namespace metier::train
