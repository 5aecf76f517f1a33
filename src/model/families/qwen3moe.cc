// Qwen 3 with experts: softmax over all of them, then the best k, renormalised where norm_topk_prob
// says so. Every layer must have experts: a mixture of dense and expert layers is not in a
// ModelSpec.
#include "model/families/families.h"
#include "model/families/gguf_config.h"
#include "model/families/llama_like.h"
#include "model/families/tensor_names.h"

namespace metier::model {
namespace {

constexpr NamePair kNames[] = {
    {"router", "mlp.gate"},
    {"expert.gate", "mlp.experts.{}.gate_proj"},
    {"expert.up", "mlp.experts.{}.up_proj"},
    {"expert.down", "mlp.experts.{}.down_proj"},
};

void RefuseDenseLayers(HfConfig& in) {
  const Json* step = in.Raw("decoder_sparse_step");
  if (step != nullptr && *step != 1)
    in.Refuse(ErrorCode::kUnsupported, "decoder_sparse_step", *step,
              "only 1 is supported: experts in every layer");
  const Json* dense = in.Raw("mlp_only_layers");
  if (dense != nullptr && !dense->empty())
    in.Refuse(ErrorCode::kUnsupported, "mlp_only_layers", *dense,
              "only [] is supported: experts in every layer");
}

Result<ModelSpec> FromConfig(const Json& config) {
  HfConfig in(config);
  ModelSpec spec = ReadLlamaLike(in, "qwen3moe");
  spec.hidden = in.Size({"moe_intermediate_size"});
  spec.activation = in.ActivationOr({"hidden_act"}, Activation::kSilu);
  spec.qk_norm = true;
  spec.qkv_bias = in.FlagOr("attention_bias", false);
  spec.o_bias = spec.qkv_bias;
  spec.moe.experts = in.Size({"num_experts", "num_local_experts"});
  spec.moe.top_k = in.SizeOr({"num_experts_per_tok"}, 8);
  spec.moe.score = RouterScore::kSoftmaxThenTopK;
  spec.moe.normalise_top_k = in.FlagOr("norm_topk_prob", false);
  RefuseDenseLayers(in);
  if (in.FlagOr("use_sliding_window", false))
    in.Refuse(ErrorCode::kUnsupported, "use_sliding_window", true, "only false is supported");
  in.Raw("sliding_window");  // has no effect without the flag
  return in.Finish(std::move(spec));
}

Json ToConfig(const ModelSpec& spec) {
  Json config = LlamaLikeConfig(spec, "Qwen3MoeForCausalLM");
  config["model_type"] = "qwen3_moe";
  config["intermediate_size"] = spec.hidden;  // of dense layers, of which there are none
  config["moe_intermediate_size"] = spec.hidden;
  config["hidden_act"] = HfActivationName(spec.activation);
  config["attention_bias"] = spec.qkv_bias;
  config["num_experts"] = spec.moe.experts;
  config["num_experts_per_tok"] = spec.moe.top_k;
  config["norm_topk_prob"] = spec.moe.normalise_top_k;
  config["decoder_sparse_step"] = 1;
  config["mlp_only_layers"] = Json::array();
  config["use_sliding_window"] = false;
  config["sliding_window"] = nullptr;
  return config;
}

Result<ModelSpec> FromGguf(const format::GgufFile& file) {
  GgufConfig in(file);
  ModelSpec spec = ReadGgufDimensions(in);
  spec.family = "qwen3moe";
  spec.hidden = in.Size("expert_feed_forward_length");
  spec.norm.epsilon = in.Number("attention.layer_norm_rms_epsilon");
  spec.rope = in.Rope(spec.head_dim, 10000.0);
  spec.qk_norm = true;
  ReadGgufBiases(in, spec);
  spec.ffn_bias = false;
  spec.moe.experts = in.Size("expert_count");
  spec.moe.top_k = in.Size("expert_used_count");
  spec.moe.score = RouterScore::kSoftmaxThenTopK;
  spec.moe.normalise_top_k = true;  // the architecture's rule: no key says it
  return in.Finish(std::move(spec));
}

Result<GgufMetadata> ToGguf(const ModelSpec& spec) {
  if (!spec.moe.normalise_top_k)
    return Error(ErrorCode::kUnsupported,
                 "GGUF's qwen3moe always renormalises the chosen experts; this model does not "
                 "(norm_topk_prob false): write a Hugging Face directory instead");
  GgufMetadata metadata = GgufDimensions(spec, "qwen3moe");
  AddGgufRope(spec, "qwen3moe", metadata);
  metadata["qwen3moe.expert_feed_forward_length"] = static_cast<std::uint64_t>(spec.hidden);
  metadata["qwen3moe.expert_count"] = static_cast<std::uint64_t>(spec.moe.experts);
  metadata["qwen3moe.expert_used_count"] = static_cast<std::uint64_t>(spec.moe.top_k);
  return metadata;
}

std::vector<TensorRule> HfRules(const ModelSpec& spec) { return LlamaHfRules(spec, kNames); }
std::vector<TensorRule> GgufTensorRules(const ModelSpec& spec) { return GgufRules(spec); }

ModelSpec Tiny() {
  ModelSpec spec = TinyLlamaLike("qwen3moe");
  spec.norm.epsilon = 1e-6;
  spec.hidden = 32;
  spec.qk_norm = true;
  spec.moe.experts = 4;
  spec.moe.top_k = 3;
  spec.moe.score = RouterScore::kSoftmaxThenTopK;
  return spec;
}

constexpr std::string_view kModelTypes[] = {"qwen3_moe"};
constexpr std::string_view kArchitectures[] = {"qwen3moe"};

}  // namespace

const Family kQwen3Moe = {
    .name = "qwen3moe",
    .hf_model_types = kModelTypes,
    .gguf_architectures = kArchitectures,
    .from_config = FromConfig,
    .to_config = ToConfig,
    .from_gguf = FromGguf,
    .to_gguf = ToGguf,
    .hf_rules = HfRules,
    .gguf_rules = GgufTensorRules,
    .hf_prefixes = kLlamaPrefixes,
    .leftovers = kLlamaLeftovers,
    .tiny = Tiny,
};

}  // namespace metier::model
