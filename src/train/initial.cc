#include "train/initial.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/model_files.h"

namespace metier::train {
namespace {

using tensor::Tensor;

// `output` [width, heads * head_dim] from `values` [kv_heads * head_dim, width]. Heads that share
// their values share the weight too, so that all of them together hand on what one would.
void MirrorValues(const model::ModelSpec& spec, const Tensor& values, Tensor& output) {
  const std::int64_t group = spec.heads / spec.kv_heads;
  const std::int64_t columns = spec.q_width();
  const std::span<const float> v = values.f32();
  const std::span<float> o = output.f32();
  for (std::int64_t row = 0; row < spec.width; ++row) {
    for (std::int64_t column = 0; column < columns; ++column) {
      const std::int64_t head = column / spec.head_dim / group;
      const std::int64_t value = head * spec.head_dim + column % spec.head_dim;
      o[static_cast<std::size_t>(row * columns + column)] =
          v[static_cast<std::size_t>(value * spec.width + row)] / static_cast<float>(group);
    }
  }
}

}  // namespace

Result<Tensor> InitialParameter(const model::ModelSpec& spec, const std::string& name,
                                std::uint64_t seed, const recipe::InitConfig& init) {
  if (init.query_key_bias_std > 0 && !spec.qkv_bias) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("init.query_key_bias_std is {:g}, but a {} of this config has no such "
                             "biases; leave it out, or choose a family that has them (qwen2)",
                             init.query_key_bias_std, spec.family));
  }
  METIER_ASSIGN(Tensor values, model::RandomParameter(spec, name, seed, init.std));
  if (name.ends_with("norm.weight")) {
    std::fill(values.f32().begin(), values.f32().end(), spec.norm.plus_one ? 0.0F : 1.0F);
  } else if (name.ends_with("attn.q.bias") || name.ends_with("attn.k.bias")) {
    METIER_ASSIGN(values, model::RandomParameter(spec, name, seed, init.query_key_bias_std));
  } else if (name.ends_with(".bias")) {
    std::fill(values.f32().begin(), values.f32().end(), 0.0F);
  } else if (name.ends_with("attn.o.weight") && init.attention == "mimetic") {
    const std::string v = name.substr(0, name.size() - std::string("o.weight").size()) + "v.weight";
    METIER_ASSIGN(const Tensor mirrored, model::RandomParameter(spec, v, seed, init.std));
    MirrorValues(spec, mirrored, values);
  }
  return values;
}

}  // namespace metier::train
