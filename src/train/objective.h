// train/objective.h - what a run minimises: the cross-entropy of its predictions, and what is asked
// of routers beside it; or, of judged answers, what preference.h says.
//
//   CE + router_aux_loss_coef * balance + router_z_loss_coef * z      with experts of the model
//   CE + router.domain_loss * CE(scores, the sequence's domain)       with a mixture of adapters
//
// CE is that of the labels, or what distillation.h says.
//
// balance = experts * sum_e f_e p_e, f_e the share of all choices that fell on expert e, p_e its
// mean probability (Fedus et al. 2021, equation 4): 1 at uniform routing. z = mean (log sum exp of
// the scores)^2 (Zoph et al. 2022, equation 5). All are means over layers with experts, or routers.
#pragma once

#include <cstdint>
#include <vector>

#include "recipe/train_config.h"
#include "train/batch.h"
#include "train/network.h"
#include "train/policy.h"
#include "train/preference.h"
#include "train/torch.h"

namespace metier::train {

// How often routers of a mixture put the sequence's own expert first, over tokens (or sequences)
// and routers.
struct RoutingCounts {
  std::int64_t right = 0;
  std::int64_t all = 0;
};

// How far what a hypernetwork writes is from the adapters that it learns from: sums of squares of
// the differences, and of the adapters' numbers.
struct ReconstructionCounts {
  double error = 0;
  double size = 0;
};

// What is counted beside the loss, over many batches.
struct Tally {
  at::Tensor expert_tokens;  // int64 [layers with experts, experts] that chose each; or undefined
  std::int64_t choices_over = 0;  // the experts' capacity, which passed them by
  RoutingCounts routing;
  RewardCounts rewards;
  ReconstructionCounts reconstruction;
  PolicyCounts policy;
  double penalty = 0;  // of the weights that must not move (consolidation.h), at the last step
};

// What a batch's losses are multiplied with, so that the sum over a step's batches is its mean.
struct StepShare {
  double prediction = 1;  // 1 / predictions of the step
  double answer = 1;      // 1 / its pairs, or judged answers
  double done = 0;        // of the run's steps before this one, from 0 to 1
};

class Objective {
 public:
  // Keeps the configuration by reference.
  explicit Objective(const recipe::TrainConfig& config) : config_(config) {}

  // Of a distillation; borrowed. Requires config.distill.
  void SetTeacher(const Network& teacher) { teacher_ = &teacher; }

  // Of one batch of a step: real scalar. `key` as of Pass.
  at::Tensor Loss(const Network& network, const Batch& batch, const StepShare& share,
                  std::uint64_t key, Tally& tally) const;

  // The sum of the losses of its predictions, whatever the stage learns from.
  at::Tensor TextLoss(const Network& network, const Batch& batch, Tally& tally) const;
  // The sum of the losses of its predictions, pairs or answers (Reading::Units).
  at::Tensor EvalLoss(const Network& network, const Batch& batch, Tally& tally) const;

 private:
  at::Tensor Answers(const Network& network, const Batch& batch, std::uint64_t key,
                     Tally& tally) const;
  // Cross-entropy of the predictions, by labels or by teacher.
  at::Tensor Predictions(const Network& network, const Batch& batch, const StepShare& share,
                         Pass pass) const;
  at::Tensor BySequence(const Network& network, const Batch& batch, double weight,
                        std::uint64_t key) const;
  at::Tensor RouterLoss(const std::vector<RouterNote>& notes, const Batch& batch,
                        const model::ModelSpec& spec) const;

  const recipe::TrainConfig& config_;
  const Network* teacher_ = nullptr;
};

}  // namespace metier::train
