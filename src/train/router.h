// train/router.h - which experts each row goes to, and with what weight: differentiable, and the
// same choice as the engine's.
#pragma once

#include <cstdint>
#include <vector>

#include "model/model_spec.h"
#include "train/torch.h"

namespace metier::train {

struct RouterChoice {
  at::Tensor chosen;   // int64 [rows, top_k], best first; equal scores go to the lower index
  at::Tensor weights;  // real [rows, top_k]
};

// scores: real [rows, experts].
RouterChoice ChooseExperts(const model::MoeSpec& moe, const at::Tensor& scores);

// How many tokens an expert takes at most in training, and which of them where more chose it.
struct CapacityOptions {
  double factor = 0;       // of its even share of all choices; 0: it takes all
  std::int64_t least = 4;  // but never less than these
  bool random = true;      // those over are drawn; else they are the last
};

// max(ceil(factor * choices / experts), least): Fedus et al. 2021, equation 3, with DeepSpeed's
// least.
std::int64_t ExpertCapacity(const CapacityOptions& options, std::int64_t choices,
                            std::int64_t experts);

// Whether each choice stands, bool of the shape of `chosen`, int64 [rows, top_k]: an expert takes
// first choices before second ones (Lepikhin et al. 2020, algorithm 1), and among these the first
// rows, or those that `key` draws (random token selection, Rajbhandari et al. 2022). Rows from
// `read` on fill the batch: none of their choices stands.
at::Tensor WithinCapacity(const CapacityOptions& options, const at::Tensor& chosen,
                          std::int64_t experts, std::int64_t read, std::uint64_t key);

// Where experts choose (model::ExpertChooser::kExpert).
struct TokenChoice {
  at::Tensor tokens;      // int64 [experts * each], an expert's behind another's, ascending
  at::Tensor weights;     // real, alike: the softmax over the experts, differentiable
  std::int64_t each = 0;  // tokens of an expert
};
// Of each sequence [starts[s], starts[s + 1]) every expert takes model::TokensOfExpert tokens;
// equal weights go to the earlier one. scores: real [tokens, experts].
TokenChoice ChooseTokens(const model::MoeSpec& moe, const at::Tensor& scores,
                         const std::vector<std::int64_t>& starts);

// What routers said in a forward pass, for losses on it and for counts.
struct RouterNote {
  bool of_mixture = false;  // of adapters; else of the model's experts
  at::Tensor scores;        // real [rows, experts]
  at::Tensor chosen;        // int64 [rows, top_k]; undefined: experts chose
  at::Tensor rows;          // int64: the tokens that the rows are; undefined: all
  at::Tensor within;        // bool [rows, top_k], WithinCapacity; undefined: all
  at::Tensor taken;         // int64 [experts]: tokens of the data, where experts chose
};

}  // namespace metier::train
