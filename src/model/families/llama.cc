// Llama 1, 2, 3 and what keeps their form: transformers' "llama", GGUF's "llama".
//
// GGUF's "llama" also holds Mistral (a sliding window) and Mixtral (experts); the metadata tells
// them apart. All of them store the rows of q and k for interleaved rotation
// (RowOrder::kRopePairs).
#include "model/families/families.h"
#include "model/families/gguf_config.h"
#include "model/families/gguf_llama.h"
#include "model/families/llama_like.h"
#include "model/families/tensor_names.h"

namespace metier::model {
namespace {

Result<ModelSpec> FromConfig(const Json& config) {
  HfConfig in(config);
  ModelSpec spec = ReadLlamaLike(in, "llama");
  spec.hidden = in.Size({"intermediate_size"});
  spec.activation = in.ActivationOr({"hidden_act"}, Activation::kSilu);
  spec.qkv_bias = in.FlagOr("attention_bias", false);
  spec.o_bias = spec.qkv_bias;
  spec.ffn_bias = in.FlagOr("mlp_bias", false);
  return in.Finish(std::move(spec));
}

Json ToConfig(const ModelSpec& spec) {
  Json config = LlamaLikeConfig(spec, "LlamaForCausalLM");
  config["intermediate_size"] = spec.hidden;
  config["hidden_act"] = HfActivationName(spec.activation);
  config["attention_bias"] = spec.qkv_bias;
  config["mlp_bias"] = spec.ffn_bias;
  return config;
}

std::vector<TensorRule> HfRules(const ModelSpec& spec) { return LlamaHfRules(spec); }

ModelSpec Tiny() {
  ModelSpec spec = TinyLlamaLike("llama");
  spec.norm.epsilon = 1e-5;
  spec.qkv_bias = true;
  spec.o_bias = true;
  spec.ffn_bias = true;
  spec.rope.scaling = RopeScaling::kLlama3;
  spec.rope.factor = 8;
  spec.rope.original_positions = 64;  // kept, blended and stretched speeds all occur
  return spec;
}

constexpr std::string_view kTypes[] = {"llama"};

}  // namespace

const Family kLlama = {
    .name = "llama",
    .hf_model_types = kTypes,
    .gguf_architectures = kTypes,
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
