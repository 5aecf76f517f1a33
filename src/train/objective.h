// train/objective.h - what a run minimises: the cross-entropy of its predictions, and what is asked
// of routers beside it.
//
//   loss = CE + router_aux_loss_coef * balance + router_z_loss_coef * z        (the model's
//   experts)
//             + router.domain_loss * CE(routers' scores, the sequence's domain)        (of
//             mixtures)
//
// balance = experts / top_k * sum_e f_e p_e, with f_e the share of tokens that expert e got, times
// top_k, and p_e its mean probability (Fedus et al. 2021, equation 4; Shazeer et al. 2017): 1 at
// uniform routing. z = mean (log sum exp of the scores)^2 (Zoph et al. 2022, equation 5). Both are
// means over layers.
#pragma once

#include <cstdint>
#include <vector>

#include "recipe/train_config.h"
#include "train/batch.h"
#include "train/network.h"
#include "train/torch.h"

namespace metier::train {

// How often routers of a mixture put the sequence's own expert first, over tokens (or sequences)
// and routers.
struct RoutingCounts {
  std::int64_t right = 0;
  std::int64_t all = 0;
};

class Objective {
 public:
  // Keeps the configuration by reference.
  explicit Objective(const recipe::TrainConfig& config) : config_(config) {}

  // Of one batch of a step: real scalar, to be added up over the step's. `weight`: 1 / predictions
  // of the whole step. `key` as of Pass. Tokens that each of the model's experts got are added to
  // `expert_tokens`, int64 [layers, experts], where it is not null: of an undefined one made.
  at::Tensor Loss(const Network& network, const Batch& batch, double weight, std::uint64_t key,
                  at::Tensor* expert_tokens = nullptr) const;

  // The sum of the cross-entropies of its predictions.
  at::Tensor EvalLoss(const Network& network, const Batch& batch,
                      RoutingCounts* counts = nullptr) const;

 private:
  at::Tensor BySequence(const Network& network, const Batch& batch, double weight,
                        std::uint64_t key) const;
  at::Tensor RouterLoss(const std::vector<RouterNote>& notes, const Batch& batch,
                        const model::ModelSpec& spec) const;

  const recipe::TrainConfig& config_;
};

}  // namespace metier::train
