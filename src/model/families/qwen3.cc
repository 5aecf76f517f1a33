// Qwen 3: Qwen 2 with RMS norms on the heads of q and k instead of biases.
#include "model/families/families.h"
#include "model/families/gguf_config.h"
#include "model/families/llama_like.h"
#include "model/families/tensor_names.h"

namespace metier::model {
namespace {

Result<ModelSpec> FromConfig(const Json& config) {
  HfConfig in(config);
  ModelSpec spec = ReadLlamaLike(in, "qwen3");
  if (in.Raw("head_dim") == nullptr)
    spec.head_dim = 128;  // transformers' default, whatever the width
  spec.hidden = in.Size({"intermediate_size"});
  spec.activation = in.ActivationOr({"hidden_act"}, Activation::kSilu);
  spec.qk_norm = true;
  spec.qkv_bias = in.FlagOr("attention_bias", false);
  spec.o_bias = spec.qkv_bias;
  ReadQwenWindows(in, spec);
  return in.Finish(std::move(spec));
}

Json ToConfig(const ModelSpec& spec) {
  Json config = LlamaLikeConfig(spec, "Qwen3ForCausalLM");
  config["intermediate_size"] = spec.hidden;
  config["hidden_act"] = HfActivationName(spec.activation);
  config["attention_bias"] = spec.qkv_bias;
  WriteQwenWindows(spec, config);
  return config;
}

Result<ModelSpec> FromGguf(const format::GgufFile& file) {
  GgufConfig in(file);
  ModelSpec spec = ReadGgufDimensions(in);
  spec.family = "qwen3";
  spec.norm.epsilon = in.Number("attention.layer_norm_rms_epsilon");
  spec.rope = in.Rope(spec.head_dim, 10000.0);
  spec.qk_norm = true;
  ReadGgufBiases(in, spec);
  return in.Finish(std::move(spec));
}

Result<GgufMetadata> ToGguf(const ModelSpec& spec) {
  METIER_TRY(RefuseGgufWindows(spec));
  GgufMetadata metadata = GgufDimensions(spec, "qwen3");
  AddGgufRope(spec, "qwen3", metadata);
  return metadata;
}

std::vector<TensorRule> HfRules(const ModelSpec& spec) { return LlamaHfRules(spec); }
std::vector<TensorRule> GgufTensorRules(const ModelSpec& spec) { return GgufRules(spec); }

ModelSpec Tiny() {
  ModelSpec spec = TinyLlamaLike("qwen3");
  spec.norm.epsilon = 1e-6;
  spec.head_dim = 16;
  spec.qk_norm = true;
  spec.qkv_bias = true;
  spec.o_bias = true;
  return spec;
}

constexpr std::string_view kTypes[] = {"qwen3"};

}  // namespace

const Family kQwen3 = {
    .name = "qwen3",
    .hf_model_types = kTypes,
    .gguf_architectures = kTypes,
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
