// Gemma (the first): embeddings times sqrt(width), gated tanh GELU, norms that apply 1 + w, tied
// head.
//
// transformers computes tanh GELU whatever hidden_act says, unless hidden_activation is set: the
// released configs said "gelu" by mistake. GGUF stores norms as 1 + w.
#include <cmath>

#include "model/families/families.h"
#include "model/families/gguf_config.h"
#include "model/families/llama_like.h"
#include "model/families/tensor_names.h"

namespace metier::model {
namespace {

void SetGemma(ModelSpec& spec) {
  spec.family = "gemma";
  spec.norm.plus_one = true;
  spec.embed_scale = std::sqrt(static_cast<double>(spec.width));
  spec.activation = Activation::kGeluTanh;
}

Result<ModelSpec> FromConfig(const Json& config) {
  HfConfig in(config);
  ModelSpec spec = ReadLlamaLike(in, "gemma", {.tied_head = true});
  if (in.Raw("head_dim") == nullptr) spec.head_dim = 256;
  SetGemma(spec);
  spec.hidden = in.Size({"intermediate_size"});
  const Activation named = in.ActivationOr({"hidden_act"}, Activation::kGeluTanh);
  if (named != Activation::kGeluTanh && named != Activation::kGeluErf)
    in.Refuse(ErrorCode::kUnsupported, "hidden_act", HfActivationName(named), "a GELU is expected");
  spec.activation = in.ActivationOr({"hidden_activation"}, Activation::kGeluTanh);
  spec.qkv_bias = in.FlagOr("attention_bias", false);
  spec.o_bias = spec.qkv_bias;
  return in.Finish(std::move(spec));
}

Json ToConfig(const ModelSpec& spec) {
  Json config = LlamaLikeConfig(spec, "GemmaForCausalLM");
  config["intermediate_size"] = spec.hidden;
  config["hidden_act"] = "gelu_pytorch_tanh";
  config["hidden_activation"] = spec.activation == Activation::kGeluTanh
                                    ? "gelu_pytorch_tanh"
                                    : HfActivationName(spec.activation);
  config["attention_bias"] = spec.qkv_bias;
  return config;
}

Result<ModelSpec> FromGguf(const format::GgufFile& file) {
  GgufConfig in(file);
  ModelSpec spec = ReadGgufDimensions(in);
  SetGemma(spec);
  spec.norm.epsilon = in.Number("attention.layer_norm_rms_epsilon");
  spec.rope = in.Rope(spec.head_dim, 10000.0);
  ReadGgufBiases(in, spec);
  return in.Finish(std::move(spec));
}

Result<GgufMetadata> ToGguf(const ModelSpec& spec) {
  if (spec.activation != Activation::kGeluTanh)
    return Error(ErrorCode::kUnsupported, "GGUF's gemma always computes tanh GELU");
  GgufMetadata metadata = GgufDimensions(spec, "gemma");
  AddGgufRope(spec, "gemma", metadata);
  const auto dim = static_cast<std::uint64_t>(spec.head_dim);
  metadata["gemma.attention.key_length"] = dim;  // required, even where it is width / heads
  metadata["gemma.attention.value_length"] = dim;
  return metadata;
}

std::vector<TensorRule> HfRules(const ModelSpec& spec) { return LlamaHfRules(spec); }

std::vector<TensorRule> GgufTensorRules(const ModelSpec& spec) {
  std::vector<TensorRule> rules = GgufRules(spec);
  for (TensorRule& rule : rules) {
    if (rule.theirs.ends_with("_norm.weight")) rule.add = -1;
  }
  return rules;
}

ModelSpec Tiny() {
  ModelSpec spec = TinyLlamaLike("gemma");
  SetGemma(spec);
  spec.norm.epsilon = 1e-6;
  spec.kv_heads = 1;
  spec.head_dim = 16;
  spec.tied_head = true;
  return spec;
}

constexpr std::string_view kTypes[] = {"gemma"};

}  // namespace

const Family kGemma = {
    .name = "gemma",
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
