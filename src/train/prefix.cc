#include "train/prefix.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "base/rng.h"
#include "format/prefix_tuning.h"
#include "model/adapter.h"

namespace metier::train {

PrefixSet::PrefixSet(const model::ModelSpec& spec, at::Tensor values)
    : layers_(spec.layers),
      kv_heads_(spec.kv_heads),
      kv_width_(spec.kv_width()),
      values_(std::move(values)) {
  values_.requires_grad_(true);
}

Result<PrefixSet> PrefixSet::Create(const model::ModelSpec& spec,
                                    const recipe::PrefixConfig& config, std::uint64_t seed,
                                    at::ScalarType real, at::Device device) {
  if (config.num_virtual_tokens >= spec.max_positions) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("prefix.num_virtual_tokens: found {}, the model was made for {} "
                             "positions, and a text needs some of them",
                             config.num_virtual_tokens, spec.max_positions));
  }
  const at::Tensor drawn =
      at::empty({config.num_virtual_tokens, spec.layers * 2 * spec.kv_width()}, at::kDouble);
  auto* out = drawn.data_ptr<double>();
  Rng rng(seed);
  for (std::int64_t i = 0; i < drawn.numel(); ++i) out[i] = rng.Normal() * config.init_std;
  // Rounded first, so that float and double runs start alike.
  return PrefixSet(spec, drawn.to(at::kFloat).to(real).to(device));
}

Result<PrefixSet> PrefixSet::Load(const model::ModelSpec& spec, const std::string& folder,
                                  at::ScalarType real, at::Device device) {
  METIER_ASSIGN(const format::PrefixTuning stored, format::OpenPrefixTuning(folder));
  METIER_ASSIGN(const model::Prefix prefix, model::ToPrefix(spec, stored, folder));
  const tensor::Tensor& wide = prefix.values;
  const at::Tensor copy = at::empty({prefix.tokens, spec.layers * 2 * spec.kv_width()}, at::kFloat);
  std::memcpy(copy.data_ptr(), wide.bytes().data(), wide.bytes().size());
  return PrefixSet(spec, copy.to(real).to(device));
}

Result<PrefixSet> PrefixSet::Continue(const model::ModelSpec& spec,
                                      const recipe::PrefixConfig& config, const std::string& folder,
                                      at::ScalarType real, at::Device device) {
  METIER_ASSIGN(PrefixSet found, Load(spec, folder, real, device));
  if (found.tokens() == config.num_virtual_tokens) return found;
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("prefix '{}' has {} tokens, the configuration asks for {}; write "
                           "num_virtual_tokens as the prefix has it",
                           folder, found.tokens(), config.num_virtual_tokens));
}

Status PrefixSet::Save(const std::string& folder, const std::string& base_model) const {
  format::PrefixTuningConfig config;
  config.tokens = tokens();
  config.layers = layers_;
  config.heads = kv_heads_;
  config.token_dim = kv_width_;
  config.base_model = base_model;
  const at::Tensor kept = values_.detach().to(at::kCPU, at::kFloat).contiguous();
  tensor::TensorView view;
  view.dtype = tensor::DType::kF32;
  view.shape = kept.sizes().vec();
  view.bytes = {static_cast<const std::byte*>(kept.data_ptr()), kept.nbytes()};
  return format::WritePrefixTuning(folder, config, view);
}

}  // namespace metier::train
