// train/forecast.h - what a run will need, before it is started: `metier train --plan`.
//
// Two models of some of the run's layers each learn for some steps from the run's own batches
// (probe.h). What their difference says a layer costs is extrapolated to all layers, bytes and
// seconds alike; layers that differ (experts, windows) are probed by kind. No formula of ours says
// what a step costs, so none can be forgotten when a step changes.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "model/model_spec.h"
#include "recipe/train_config.h"
#include "train/trainer.h"

namespace metier::train {

// What comes back, bytes and seconds:
//
//   parameters, trainable_parameters, steps, tokens (of the run)
//   memory    weights_and_moments, gradients, activations, reserve (what the allocator keeps beside
//             them), program, peak (the sum), available
//   seconds   step, training, evaluation, before (the first step), total
//   fits
//
// program, available and fits are null on other devices than the CPU, and peak is of tensors alone;
// available and fits also where the system does not say what memory there is.
// Nothing is written. Errors: RunModel::Open, RunData::Open; kUnsupported: a run of several
// processes, a router, a hypernetwork.
Result<Json> Forecast(const recipe::TrainConfig& config, const EventSink& sink);

// Whether what a run cannot do without is there: weights, and of what learns gradients and moments.
// kResourceExhausted: the machine has less memory, with how much and what to change. Of the CPU; on
// other devices always Ok.
Status CheckFits(const recipe::TrainConfig& config, const model::ModelSpec& spec);

}  // namespace metier::train
