// train/references.h - what the weights that a run begins with think of the answers it learns from:
// computed once, before the first step, and kept in the run's folder.
//
// One pass over the data instead of a second network in memory, and for every epoch but the first a
// forward pass less.
#pragma once

#include <functional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "recipe/train_config.h"
#include "train/network.h"
#include "train/run_data.h"

namespace metier::train {

// Called with answers done and to do; returns true to ask for the end.
using OnAnswers = std::function<bool(std::int64_t done, std::int64_t total)>;

// Fills the references of all readings, and of kto what it takes beside them. False: asked to end.
Result<bool> ComputeReferences(const Network& network, const recipe::TrainConfig& config,
                               RunData& data, const OnAnswers& on_answers);

// OUT/references.safetensors. `run` says which run they are of.
Status SaveReferences(const std::string& folder, const RunData& data, const Json& run);
// False: there are none, or of another run.
Result<bool> LoadReferences(const std::string& folder, RunData& data, const Json& run);

}  // namespace metier::train
