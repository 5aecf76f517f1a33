// train/evaluation.h - the loss on token files that a run does not learn from.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/json.h"
#include "recipe/train_config.h"
#include "train/objective.h"
#include "train/run_data.h"
#include "train/run_model.h"

namespace metier::train {

// Called with packs done and to do; returns true to ask for the end.
using OnPacks = std::function<bool(std::int64_t done, std::int64_t total)>;

// Adds "rewards/accuracies" and "rewards/margins" (TRL's names) where answers were counted.
void AddRewards(const RewardCounts& rewards, const std::string& prefix, Json& metrics);

// Adds what is known of answers that were given, under TRL's names: "reward", "reward_std", "kl",
// ..
void AddPolicy(const PolicyCounts& counts, const recipe::TrainConfig& config, Json& metrics);

// Mean loss of the predictions of data.general(), of the weights that the final model would have.
double GeneralLoss(RunModel& model, const RunData& data, const Objective& objective,
                   const recipe::TrainConfig& config);

// {"eval_loss"}, the mean over the files' losses; of several files also {"eval_loss_NAME"} of each;
// with a mixture {"eval_router_accuracy"}, the share of choices that were the domain's own; of
// judged answers their rewards. Nothing when it was asked to end.
std::optional<Json> Evaluate(RunModel& model, const RunData& data, const Objective& objective,
                             const recipe::TrainConfig& config, const OnPacks& on_packs);

}  // namespace metier::train
