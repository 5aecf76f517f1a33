// train/policy.h - the objective of reinforcement (stage grpo): answers that are worth more than
// others to the same prompt become likelier.
//
//   A_i = (r_i - mean r) / (std r + 1e-4)                       of an answer i among those to one
//   prompt loss = -mean over answers of (1 / |o_i|) sum over t of
//          [p(o_it) / old p(o_it) A_i - beta (u - ln u - 1)],  u = reference p(o_it) / p(o_it)
//
// (Shao et al. 2024, arXiv 2402.03300, equations 3 and 4.) Each set of answers is learned from
// once, by the weights that gave it: the ratio is 1, and its gradient that of ln p.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "recipe/train_config.h"
#include "train/batch.h"
#include "train/rollouts.h"
#include "train/torch.h"

namespace metier::train {

// What is logged of answers, over many groups.
struct PolicyCounts {
  double reward = 0;  // sums over answers
  double tokens = 0;
  double ended = 0;
  double answers = 0;
  double deviation = 0;  // of rewards, summed over groups
  double silent = 0;     // groups whose answers are all worth the same: nothing is learned of them
  double groups = 0;
  double divergence = 0;  // of the reference, summed over predictions
  double predictions = 0;

  template <class Visitor>
  void Visit(Visitor&& field) {
    for (double* one : {&reward, &tokens, &ended, &answers, &deviation, &silent, &groups,
                        &divergence, &predictions})
      field(*one);
  }
};

// What each answer is better than the group's mean; divided by the standard deviation (of the
// sample) where `scale`.
std::vector<double> Advantages(const RolloutGroup& group, bool scale);

// A batch of answers behind their prompts, and what the loss weighs each of its predictions with.
struct PolicyBatch {
  Batch batch;
  at::Tensor weights;     // float [counted]: 1 / |o_i| / answers of the step
  at::Tensor advantages;  // float [counted]
  at::Tensor references;  // float [counted]: ln p; undefined: none
};

struct PromptedGroup {
  std::span<const std::int32_t> prompt;
  const RolloutGroup* group = nullptr;
};
// Adds what it sees to `counts`. `share`: 1 / groups of the step.
PolicyBatch MakePolicyBatch(const recipe::GrpoConfig& config,
                            const std::vector<PromptedGroup>& groups, double share,
                            at::Device device, PolicyCounts& counts);

// log_probs: real [rows], as of Network::LogProbs. Differentiable in them.
at::Tensor PolicyLoss(const recipe::GrpoConfig& config, const PolicyBatch& batch,
                      const at::Tensor& log_probs, PolicyCounts& counts);

}  // namespace metier::train
