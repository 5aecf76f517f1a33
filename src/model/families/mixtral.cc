// Mixtral: Mistral with experts; the softmax runs over the chosen ones only (Jiang et al.
// 2024, 2.1).
#include "model/families/families.h"
#include "model/families/gguf_llama.h"
#include "model/families/llama_like.h"
#include "model/families/tensor_names.h"

namespace metier::model {
namespace {

constexpr NamePair kNames[] = {
    {"router", "block_sparse_moe.gate"},
    {"expert.gate", "block_sparse_moe.experts.{}.w1"},
    {"expert.up", "block_sparse_moe.experts.{}.w3"},
    {"expert.down", "block_sparse_moe.experts.{}.w2"},
};

Result<ModelSpec> FromConfig(const Json& config) {
  HfConfig in(config);
  ModelSpec spec = ReadLlamaLike(in, "mixtral", {.rms_norm_eps = 1e-5, .rope_theta = 1e6});
  spec.hidden = in.Size({"intermediate_size"});
  spec.activation = in.ActivationOr({"hidden_act"}, Activation::kSilu);
  spec.moe.experts = in.SizeOr({"num_local_experts", "num_experts"}, 8);
  spec.moe.top_k = in.SizeOr({"num_experts_per_tok"}, 2);
  spec.moe.score = RouterScore::kTopKThenSoftmax;
  const std::int64_t window = in.Raw("sliding_window") == nullptr ? 0 : in.Size({"sliding_window"});
  for (LayerSpec& layer : spec.layer) layer.sliding_window = window;
  return in.Finish(std::move(spec));
}

Json ToConfig(const ModelSpec& spec) {
  const std::int64_t window = spec.layer.front().sliding_window;
  Json config = LlamaLikeConfig(spec, "MixtralForCausalLM");
  config["intermediate_size"] = spec.hidden;
  config["hidden_act"] = HfActivationName(spec.activation);
  config["num_local_experts"] = spec.moe.experts;
  config["num_experts_per_tok"] = spec.moe.top_k;
  config["sliding_window"] = window > 0 ? Json(window) : Json(nullptr);
  return config;
}

std::vector<TensorRule> HfRules(const ModelSpec& spec) { return LlamaHfRules(spec, kNames); }

ModelSpec Tiny() {
  ModelSpec spec = TinyLlamaLike("mixtral");
  spec.moe.experts = 4;
  spec.moe.top_k = 2;
  return spec;
}

constexpr std::string_view kTypes[] = {"mixtral"};

}  // namespace

const Family kMixtral = {
    .name = "mixtral",
    .hf_model_types = kTypes,
    .gguf_architectures = {},  // "llama", whose row hands it on
    .from_config = FromConfig,
    .to_config = ToConfig,
    .from_gguf = LlamaFromGguf,
    .to_gguf = LlamaToGguf,
    .hf_rules = HfRules,
    .gguf_rules = LlamaGgufRules,
    .hf_prefixes = kLlamaPrefixes,
    .leftovers = kLlamaLeftovers,
    .tiny = Tiny,
};

}  // namespace metier::model
