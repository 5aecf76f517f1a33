// GPT-2: learned positions, biased layers, tanh GELU, q, k and v in one Conv1D ([in, out] weights).
#include "model/families/families.h"
#include "model/families/gguf_config.h"
#include "model/families/hf_config.h"
#include "model/families/tensor_names.h"

namespace metier::model {
namespace {

constexpr NamePair kNames[] = {
    {"embed.tokens", "transformer.wte.weight"},
    {"embed.positions", "transformer.wpe.weight"},
    {"final_norm", "transformer.ln_f"},
    {"head", "lm_head"},
    {"attn_norm", "ln_1"},
    {"attn.q", "attn.c_attn"},
    {"attn.k", "attn.c_attn"},
    {"attn.v", "attn.c_attn"},
    {"attn.o", "attn.c_proj"},
    {"ffn_norm", "ln_2"},
    {"ffn.up", "mlp.c_fc"},
    {"ffn.down", "mlp.c_proj"},
};

constexpr NamePair kGgufNames[] = {
    {"attn.q", "attn_qkv"},
    {"attn.k", "attn_qkv"},
    {"attn.v", "attn_qkv"},
};

void SetGpt2(ModelSpec& spec) {
  spec.family = "gpt2";
  spec.position = PositionKind::kLearned;
  spec.norm.kind = NormKind::kLayer;
  spec.norm.bias = true;
  spec.activation = Activation::kGeluTanh;
  spec.gated = false;
  spec.qkv_bias = true;
  spec.o_bias = true;
  spec.ffn_bias = true;
}

Result<ModelSpec> FromConfig(const Json& config) {
  HfConfig in(config);
  ModelSpec spec;
  SetGpt2(spec);
  spec.vocab = in.Size({"vocab_size"});
  spec.width = in.Size({"n_embd", "hidden_size"});
  spec.layers = in.Layers({"n_layer", "num_hidden_layers"});
  spec.layer.resize(static_cast<std::size_t>(spec.layers));
  spec.heads = in.Size({"n_head", "num_attention_heads"});
  spec.kv_heads = spec.heads;
  if (spec.width % spec.heads != 0)
    in.Refuse(ErrorCode::kDataCorrupt, "n_embd", spec.width, "it does not divide by n_head");
  spec.head_dim = std::max<std::int64_t>(1, spec.width / spec.heads);
  spec.hidden = in.SizeOr({"n_inner"}, 4 * spec.width);
  spec.max_positions = in.Size({"n_positions", "max_position_embeddings"});
  spec.activation = in.ActivationOr({"activation_function"}, Activation::kGeluTanh);
  spec.norm.epsilon = in.NumberOr({"layer_norm_epsilon"}, 1e-5);
  if (!in.FlagOr("scale_attn_weights", true)) spec.attention_scale = 1;
  spec.tied_head = in.FlagOr("tie_word_embeddings", true);
  in.Raw("is_decoder");
  return in.Finish(std::move(spec));
}

Json ToConfig(const ModelSpec& spec) {
  return Json{{"architectures", {"GPT2LMHeadModel"}},
              {"model_type", "gpt2"},
              {"vocab_size", spec.vocab},
              {"n_embd", spec.width},
              {"n_layer", spec.layers},
              {"n_head", spec.heads},
              {"n_inner", spec.hidden},
              {"n_positions", spec.max_positions},
              {"n_ctx", spec.max_positions},
              {"activation_function", HfActivationName(spec.activation)},
              {"layer_norm_epsilon", spec.norm.epsilon},
              {"scale_attn_weights", spec.attention_scale == 0},
              {"tie_word_embeddings", spec.tied_head}};
}

Result<ModelSpec> FromGguf(const format::GgufFile& file) {
  GgufConfig in(file);
  ModelSpec spec = ReadGgufDimensions(in);
  SetGpt2(spec);
  spec.norm.epsilon = in.Number("attention.layer_norm_epsilon");
  return in.Finish(std::move(spec));
}

Result<GgufMetadata> ToGguf(const ModelSpec& spec) {
  if (spec.attention_scale != 0 || spec.activation != Activation::kGeluTanh)
    return Error(ErrorCode::kUnsupported,
                 "GGUF's gpt2 always scales scores by 1 / sqrt(head_dim) and computes tanh GELU");
  return GgufDimensions(spec, "gpt2");
}

std::vector<TensorRule> HfRules(const ModelSpec& spec) {
  std::vector<TensorRule> rules = RulesFromTable(spec, {"transformer.h.{}.", kNames});
  FuseQkv(spec, FusedLayout::kConcatenated, rules);
  for (TensorRule& rule : rules) {
    for (const std::string_view conv1d : {"c_attn.weight", "c_proj.weight", "c_fc.weight"})
      rule.transpose = rule.transpose || rule.theirs.ends_with(conv1d);
  }
  return rules;
}

std::vector<TensorRule> GgufTensorRules(const ModelSpec& spec) {
  std::vector<TensorRule> rules = GgufRules(spec, kGgufNames);
  FuseQkv(spec, FusedLayout::kConcatenated, rules);
  return rules;
}

ModelSpec Tiny() {
  ModelSpec spec;
  SetGpt2(spec);
  spec.vocab = 320;
  spec.width = 24;
  spec.layers = 2;
  spec.layer.resize(2);
  spec.heads = 3;
  spec.kv_heads = 3;
  spec.head_dim = 8;
  spec.hidden = 96;
  spec.max_positions = 64;
  spec.tied_head = true;
  return spec;
}

constexpr std::string_view kTypes[] = {"gpt2"};
constexpr std::string_view kPrefixes[] = {"transformer.", ""};
constexpr std::string_view kLeftovers[] = {"attn.bias", "attn.masked_bias"};  // causal masks

}  // namespace

const Family kGpt2 = {
    .name = "gpt2",
    .hf_model_types = kTypes,
    .gguf_architectures = kTypes,
    .from_config = FromConfig,
    .to_config = ToConfig,
    .from_gguf = FromGguf,
    .to_gguf = ToGguf,
    .hf_rules = HfRules,
    .gguf_rules = GgufTensorRules,
    .hf_prefixes = kPrefixes,
    .leftovers = kLeftovers,
    .tiny = Tiny,
};

}  // namespace metier::model
