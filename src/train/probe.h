// train/probe.h - some layers of a run's model, trained for a few steps to see what they cost.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "recipe/train_config.h"
#include "train/batch.h"
#include "train/model_source.h"

namespace metier::train {

// What is measured on.
struct ProbeBatches {
  Batch heaviest;              // of the run: for memory
  std::vector<Batch> samples;  // for time
  std::int64_t a_step = 1;     // batches of a step of the run
};

// Bytes are of tensors.
struct ProbeFigures {
  std::int64_t trained = 0;   // numbers that learn
  std::int64_t standing = 0;  // bytes of weights, moments and averages: what is there between steps
  std::int64_t kept = 0;      // bytes that the forward pass of the heaviest batch keeps
  std::int64_t gradients = 0;  // bytes
  std::int64_t peak = 0;       // bytes, the most at once
  std::int64_t allocated = 0;  // bytes that the allocator took for these; 0: not ours (a GPU's)
  std::int64_t waiting = 0;    // bytes that it keeps beside them, to use again
  double learning = 0;         // seconds a token, forward and backward
  double updating = 0;         // seconds of one step of the optimiser
  double judging = 0;          // seconds a token, forward alone
};

// The spec with these of its layers, rising.
model::ModelSpec WithLayers(const model::ModelSpec& spec, const std::vector<std::int64_t>& layers);

// Trains a model of this spec, with weights that mean nothing, as the configuration says; what it
// would continue from on disk (an adapter) counts as new. Errors: RunModel::OpenOn.
Result<ProbeFigures> RunProbe(const recipe::TrainConfig& config, const model::ModelSpec& spec,
                              const ProbeBatches& batches);

}  // namespace metier::train
