// train/schedule.h - the learning rate of each step, and how many steps a run has.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "recipe/train_config.h"
#include "train/example_order.h"
#include "train/token_data.h"

namespace metier::train {

// Of step `step` in [0, total): rises linearly over the warm-up (its last step has the peak), then
// follows lr_scheduler_type down to min_lr_ratio of the peak, which the step after the last would
// have.
double LearningRate(const recipe::TrainConfig& config, std::int64_t step, std::int64_t total);

// How what is learned from is mixed and cut into sequences and packs under this configuration, and
// how what is evaluated on is.
PackingOptions PackingOf(const recipe::TrainConfig& config);
PackingOptions EvalPackingOf(const recipe::TrainConfig& config);
// And how its general_file is: as texts are, in every stage.
PackingOptions GeneralPackingOf(const recipe::TrainConfig& config);

// Micro-batches of one optimiser step: each a list of packs computed at once.
struct StepPlan {
  std::vector<std::vector<Pack>> batches;
  std::int64_t epoch = 0;        // counts from 0
  double epochs_done = 0;        // after this step
  std::int64_t predictions = 0;  // tokens that carry loss, over all batches
  std::int64_t groups = 0;       // of the corpus: pairs, or single examples
};

// Reads the steps of a run in order, epoch after epoch. An epoch's last step takes what is left.
class StepReader {
 public:
  StepReader(const Corpus& corpus, const recipe::TrainConfig& config);
  // Of `items` that are no texts: each, in another order every epoch, is a pack of one piece with
  // one prediction, and its number the piece's example.
  StepReader(std::int64_t items, const recipe::TrainConfig& config);

  Result<StepPlan> Next();

  // Passes over steps that a resumed run has done.
  Status Skip(std::int64_t steps);

 private:
  Status StartEpoch();
  Pack NextPack();
  std::int64_t PredictionsOf(const Piece& piece) const;

  const Corpus* corpus_ = nullptr;  // or items
  std::int64_t items_ = 0;
  PackingOptions options_;
  std::int64_t batch_size_;
  std::int64_t accumulation_;
  std::uint64_t seed_;
  std::int64_t epoch_ = -1;
  std::int64_t packs_ = 0;  // of this epoch
  std::int64_t done_ = 0;   // packs of it that were handed out
  std::unique_ptr<PackReader> reader_;
  std::optional<Permutation> order_;  // of the items
};

// max_steps, or what num_train_epochs comes to: each epoch packs a little differently. Cost: one
// pass over the files' lengths an epoch.
Result<std::int64_t> TotalSteps(const Corpus& corpus, const recipe::TrainConfig& config);
Result<std::int64_t> TotalSteps(std::int64_t items, const recipe::TrainConfig& config);

}  // namespace metier::train
