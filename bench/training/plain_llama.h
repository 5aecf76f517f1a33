// bench/training/plain_llama.h - what one would write with LibTorch's own operations: a Llama
// decoder, its loss, AdamW. The peer of training_speed; keeps to what every LibTorch since 1.13
// has.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/model_spec.h"
#include "train/torch.h"

namespace metier::bench {

// Requires a dense spec with RoPE, RMS norms, gated SiLU, a head and no biases. Weights are F32;
// products are in `act`, to which weights are cast as they are used, as autocast does.
class PlainLlama {
 public:
  PlainLlama(const model::ModelSpec& spec, std::int64_t length, at::ScalarType act);

  // Adds an adapter to all linears but the head and freezes everything else.
  void AddLora(std::int64_t rank);

  // Mean cross-entropy of ids[:, 1:]; ids: int64 [sequences, length].
  at::Tensor Loss(const at::Tensor& ids) const;

  // One step of AdamW with the gradients clipped to norm 1; drops them.
  void Step(double learning_rate);

 private:
  struct Linear {
    at::Tensor weight;  // [out, in]
    at::Tensor a = {};  // [rank, in]
    at::Tensor b = {};
  };
  struct Layer {
    at::Tensor attn_norm, ffn_norm;
    Linear q, k, v, o, gate, up, down;
  };

  at::Tensor Parameter(at::IntArrayRef shape, double std);
  at::Tensor Apply(const Linear& linear, const at::Tensor& x) const;
  at::Tensor Norm(const at::Tensor& x, const at::Tensor& weight) const;
  at::Tensor Rotate(const at::Tensor& x) const;
  at::Tensor Attention(const Layer& layer, const at::Tensor& x) const;

  model::ModelSpec spec_;
  at::ScalarType act_;
  at::Tensor embedding_, head_, final_norm_, cosine_, sine_, mask_;
  std::vector<Layer> layers_;
  std::vector<at::Tensor> parameters_;
  std::vector<at::Tensor> first_, second_;  // moments
  std::int64_t step_ = 0;
};

}  // namespace metier::bench
