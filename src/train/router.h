// train/router.h - which experts each row goes to, and with what weight: differentiable, and the
// same choice as the engine's.
#pragma once

#include "model/model_spec.h"
#include "train/torch.h"

namespace metier::train {

struct RouterChoice {
  at::Tensor chosen;   // int64 [rows, top_k], best first; equal scores go to the lower index
  at::Tensor weights;  // real [rows, top_k]
};

// scores: real [rows, experts].
RouterChoice ChooseExperts(const model::MoeSpec& moe, const at::Tensor& scores);

// What routers said in a forward pass, for losses on it and for counts.
struct RouterNote {
  bool of_mixture = false;  // of adapters; else of the model's experts
  at::Tensor scores;        // real [rows, experts]
  at::Tensor chosen;        // int64 [rows, top_k]
  at::Tensor rows;          // int64: the tokens that the rows are; undefined: all
};

}  // namespace metier::train
