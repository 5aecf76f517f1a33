// Qwen 1.5, 2 and 2.5: Llama with biases on q, k and v (only), and a window in the upper layers
// where the config asks for one.
#include "model/families/families.h"
#include "model/families/gguf_config.h"
#include "model/families/llama_like.h"
#include "model/families/tensor_names.h"

namespace metier::model {
namespace {

Result<ModelSpec> FromConfig(const Json& config) {
  HfConfig in(config);
  ModelSpec spec = ReadLlamaLike(in, "qwen2");
  spec.hidden = in.Size({"intermediate_size"});
  spec.activation = in.ActivationOr({"hidden_act"}, Activation::kSilu);
  spec.qkv_bias = true;
  ReadQwenWindows(in, spec);
  return in.Finish(std::move(spec));
}

Json ToConfig(const ModelSpec& spec) {
  Json config = LlamaLikeConfig(spec, "Qwen2ForCausalLM");
  config["intermediate_size"] = spec.hidden;
  config["hidden_act"] = HfActivationName(spec.activation);
  WriteQwenWindows(spec, config);
  return config;
}

Result<ModelSpec> FromGguf(const format::GgufFile& file) {
  GgufConfig in(file);
  ModelSpec spec = ReadGgufDimensions(in);
  spec.family = "qwen2";
  spec.norm.epsilon = in.Number("attention.layer_norm_rms_epsilon");
  spec.rope = in.Rope(spec.head_dim, 10000.0);
  spec.qkv_bias = true;
  return in.Finish(std::move(spec));
}

Result<GgufMetadata> ToGguf(const ModelSpec& spec) {
  METIER_TRY(RefuseGgufWindows(spec));
  GgufMetadata metadata = GgufDimensions(spec, "qwen2");
  AddGgufRope(spec, "qwen2", metadata);
  return metadata;
}

std::vector<TensorRule> HfRules(const ModelSpec& spec) { return LlamaHfRules(spec); }
std::vector<TensorRule> GgufTensorRules(const ModelSpec& spec) { return GgufRules(spec); }

ModelSpec Tiny() {
  ModelSpec spec = TinyLlamaLike("qwen2");
  spec.norm.epsilon = 1e-6;
  spec.qkv_bias = true;
  spec.tied_head = true;
  spec.layer[1].sliding_window = 9;
  return spec;
}

constexpr std::string_view kTypes[] = {"qwen2"};

}  // namespace

const Family kQwen2 = {
    .name = "qwen2",
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
