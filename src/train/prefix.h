// train/prefix.h - keys and values that every layer sees before a sequence's own (prefix tuning, Li
// and Liang 2021, arXiv 2101.00190, without the reparametrisation of section 4.3).
//
//   values [tokens, layers, 2, kv_heads, head_dim]     keys, then values; keys are not rotated
//
// A sequence's positions begin behind its prefix, as with any other past that a cache holds; PEFT
// hands its prefix to the model as just that.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "model/model_spec.h"
#include "recipe/train_config.h"
#include "train/torch.h"

namespace metier::train {

class PrefixSet {
 public:
  PrefixSet() = default;

  // As `config` asks, N(0, init_std), drawn in double of `seed`. kInvalidArgument: more tokens than
  // the model has positions.
  static Result<PrefixSet> Create(const model::ModelSpec& spec, const recipe::PrefixConfig& config,
                                  std::uint64_t seed, at::ScalarType real, at::Device device);

  // From a PEFT directory.
  static Result<PrefixSet> Load(const model::ModelSpec& spec, const std::string& folder,
                                at::ScalarType real, at::Device device);

  // From a PEFT directory, to be trained further. kInvalidArgument: `config` asks for another
  // number of tokens than it has.
  static Result<PrefixSet> Continue(const model::ModelSpec& spec,
                                    const recipe::PrefixConfig& config, const std::string& folder,
                                    at::ScalarType real, at::Device device);

  // Writes adapter_config.json and adapter_model.safetensors (F32).
  Status Save(const std::string& folder, const std::string& base_model) const;

  bool empty() const { return !values_.defined(); }
  std::int64_t tokens() const { return empty() ? 0 : values_.size(0); }
  // real [tokens, layers * 2 * kv_heads * head_dim]: the one trainable.
  const at::Tensor& values() const { return values_; }

  // Differentiable: a layer's [tokens, kv_heads * head_dim].
  at::Tensor Keys(std::int64_t layer) const { return Part(2 * layer); }
  at::Tensor Values(std::int64_t layer) const { return Part(2 * layer + 1); }

 private:
  PrefixSet(const model::ModelSpec& spec, at::Tensor values);
  at::Tensor Part(std::int64_t index) const {
    return values_.narrow(1, index * kv_width_, kv_width_);
  }

  std::int64_t layers_ = 0;
  std::int64_t kv_heads_ = 0;
  std::int64_t kv_width_ = 0;
  at::Tensor values_;
};

}  // namespace metier::train
