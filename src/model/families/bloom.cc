// BLOOM: ALiBi instead of positions, a norm after the embedding, tanh GELU, q, k and v fused by
// head. Configs say hidden_size or n_embed, num_hidden_layers or n_layer, num_attention_heads or
// n_head.
#include "model/families/families.h"
#include "model/families/gguf_config.h"
#include "model/families/hf_config.h"
#include "model/families/tensor_names.h"

namespace metier::model {
namespace {

constexpr NamePair kNames[] = {
    {"embed.tokens", "transformer.word_embeddings.weight"},
    {"embed.norm", "transformer.word_embeddings_layernorm"},
    {"final_norm", "transformer.ln_f"},
    {"head", "lm_head"},
    {"attn_norm", "input_layernorm"},
    {"attn.q", "self_attention.query_key_value"},
    {"attn.k", "self_attention.query_key_value"},
    {"attn.v", "self_attention.query_key_value"},
    {"attn.o", "self_attention.dense"},
    {"ffn_norm", "post_attention_layernorm"},
    {"ffn.up", "mlp.dense_h_to_4h"},
    {"ffn.down", "mlp.dense_4h_to_h"},
};

constexpr NamePair kGgufNames[] = {
    {"attn.q", "attn_qkv"},
    {"attn.k", "attn_qkv"},
    {"attn.v", "attn_qkv"},
};

void SetBloom(ModelSpec& spec) {
  spec.family = "bloom";
  spec.position = PositionKind::kAlibi;
  spec.embed_norm = true;
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
  SetBloom(spec);
  spec.vocab = in.Size({"vocab_size"});
  spec.width = in.Size({"hidden_size", "n_embed"});
  spec.layers = in.Layers({"n_layer", "num_hidden_layers"});
  spec.layer.resize(static_cast<std::size_t>(spec.layers));
  spec.heads = in.Size({"n_head", "num_attention_heads"});
  spec.kv_heads = spec.heads;
  if (spec.width % spec.heads != 0)
    in.Refuse(ErrorCode::kDataCorrupt, "hidden_size", spec.width, "it does not divide by n_head");
  spec.head_dim = std::max<std::int64_t>(1, spec.width / spec.heads);
  spec.hidden = in.SizeOr({"n_inner"}, 4 * spec.width);
  if (spec.hidden != 4 * spec.width)
    in.Refuse(ErrorCode::kUnsupported, "n_inner", spec.hidden, "4 x hidden_size is expected");
  spec.max_positions = in.SizeOr({"seq_length"}, 2048);  // trained on; ALiBi has no table to end
  spec.norm.epsilon = in.NumberOr({"layer_norm_epsilon"}, 1e-5);
  spec.tied_head = in.FlagOr("tie_word_embeddings", true);
  in.Raw("is_decoder");
  return in.Finish(std::move(spec));
}

Json ToConfig(const ModelSpec& spec) {
  return Json{{"architectures", {"BloomForCausalLM"}},
              {"model_type", "bloom"},
              {"vocab_size", spec.vocab},
              {"hidden_size", spec.width},
              {"n_layer", spec.layers},
              {"n_head", spec.heads},
              {"seq_length", spec.max_positions},
              {"layer_norm_epsilon", spec.norm.epsilon},
              {"apply_residual_connection_post_layernorm", false},
              {"tie_word_embeddings", spec.tied_head}};
}

Result<ModelSpec> FromGguf(const format::GgufFile& file) {
  GgufConfig in(file);
  ModelSpec spec = ReadGgufDimensions(in);
  SetBloom(spec);
  spec.norm.epsilon = in.Number("attention.layer_norm_epsilon");
  return in.Finish(std::move(spec));
}

Result<GgufMetadata> ToGguf(const ModelSpec& spec) { return GgufDimensions(spec, "bloom"); }

std::vector<TensorRule> HfRules(const ModelSpec& spec) {
  std::vector<TensorRule> rules = RulesFromTable(spec, {"transformer.h.{}.", kNames});
  FuseQkv(spec, FusedLayout::kByHead, rules);
  return rules;
}

std::vector<TensorRule> GgufTensorRules(const ModelSpec& spec) {
  std::vector<TensorRule> rules = GgufRules(spec, kGgufNames);
  FuseQkv(spec, FusedLayout::kConcatenated, rules);
  return rules;
}

ModelSpec Tiny() {
  ModelSpec spec;
  SetBloom(spec);
  spec.vocab = 320;
  spec.width = 24;
  spec.layers = 2;
  spec.layer.resize(2);
  spec.heads = 6;  // no power of two: both series of slopes
  spec.kv_heads = 6;
  spec.head_dim = 4;
  spec.hidden = 96;
  spec.max_positions = 64;
  spec.tied_head = true;
  return spec;
}

constexpr std::string_view kTypes[] = {"bloom"};
constexpr std::string_view kPrefixes[] = {"transformer.", ""};

}  // namespace

const Family kBloom = {
    .name = "bloom",
    .hf_model_types = kTypes,
    .gguf_architectures = kTypes,
    .from_config = FromConfig,
    .to_config = ToConfig,
    .from_gguf = FromGguf,
    .to_gguf = ToGguf,
    .hf_rules = HfRules,
    .gguf_rules = GgufTensorRules,
    .hf_prefixes = kPrefixes,
    .leftovers = {},
    .tiny = Tiny,
};

}  // namespace metier::model
