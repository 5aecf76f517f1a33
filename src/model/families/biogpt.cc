// BioGPT: learned positions that start at row 2, embeddings times sqrt(width), pre-norm, erf GELU.
//
// The layer norms run with PyTorch's default epsilon, 1e-5: transformers' layers never read the
// config's layer_norm_eps (1e-12 in the released config).
#include <cmath>

#include "model/families/families.h"
#include "model/families/hf_config.h"
#include "model/families/tensor_names.h"

namespace metier::model {
namespace {

constexpr NamePair kNames[] = {
    {"embed.tokens", "biogpt.embed_tokens.weight"},
    {"embed.positions", "biogpt.embed_positions.weight"},
    {"final_norm", "biogpt.layer_norm"},
    {"head", "output_projection"},
    {"attn_norm", "self_attn_layer_norm"},
    {"attn.q", "self_attn.q_proj"},
    {"attn.k", "self_attn.k_proj"},
    {"attn.v", "self_attn.v_proj"},
    {"attn.o", "self_attn.out_proj"},
    {"ffn_norm", "final_layer_norm"},
    {"ffn.up", "fc1"},
    {"ffn.down", "fc2"},
};

void SetBioGpt(ModelSpec& spec) {
  spec.family = "biogpt";
  spec.position = PositionKind::kLearned;
  spec.position_offset = 2;
  spec.norm.kind = NormKind::kLayer;
  spec.norm.bias = true;
  spec.norm.epsilon = 1e-5;
  spec.gated = false;
  spec.qkv_bias = true;
  spec.o_bias = true;
  spec.ffn_bias = true;
}

double ScaleOf(const ModelSpec& spec) { return std::sqrt(static_cast<double>(spec.width)); }

Result<ModelSpec> FromConfig(const Json& config) {
  HfConfig in(config);
  ModelSpec spec;
  SetBioGpt(spec);
  spec.vocab = in.Size({"vocab_size"});
  spec.width = in.Size({"hidden_size"});
  spec.layers = in.Layers({"num_hidden_layers"});
  spec.layer.resize(static_cast<std::size_t>(spec.layers));
  spec.heads = in.Size({"num_attention_heads"});
  spec.kv_heads = spec.heads;
  if (spec.width % spec.heads != 0)
    in.Refuse(ErrorCode::kDataCorrupt, "hidden_size", spec.width,
              "it does not divide by num_attention_heads");
  spec.head_dim = std::max<std::int64_t>(1, spec.width / spec.heads);
  spec.hidden = in.Size({"intermediate_size"});
  spec.max_positions = in.SizeOr({"max_position_embeddings"}, 1024);
  spec.activation = in.ActivationOr({"hidden_act"}, Activation::kGeluErf);
  if (in.FlagOr("scale_embedding", true)) spec.embed_scale = ScaleOf(spec);
  spec.tied_head = in.FlagOr("tie_word_embeddings", true);
  in.Raw("is_decoder");
  return in.Finish(std::move(spec));
}

Json ToConfig(const ModelSpec& spec) {
  return Json{{"architectures", {"BioGptForCausalLM"}},
              {"model_type", "biogpt"},
              {"vocab_size", spec.vocab},
              {"hidden_size", spec.width},
              {"num_hidden_layers", spec.layers},
              {"num_attention_heads", spec.heads},
              {"intermediate_size", spec.hidden},
              {"hidden_act", HfActivationName(spec.activation)},
              {"max_position_embeddings", spec.max_positions},
              {"layer_norm_eps", 1e-12},
              {"scale_embedding", spec.embed_scale != 1.0},
              {"tie_word_embeddings", spec.tied_head}};
}

std::vector<TensorRule> HfRules(const ModelSpec& spec) {
  return RulesFromTable(spec, {"biogpt.layers.{}.", kNames});
}

ModelSpec Tiny() {
  ModelSpec spec;
  SetBioGpt(spec);
  spec.vocab = 320;
  spec.width = 24;
  spec.layers = 2;
  spec.layer.resize(2);
  spec.heads = 3;
  spec.kv_heads = 3;
  spec.head_dim = 8;
  spec.hidden = 64;
  spec.max_positions = 64;
  spec.activation = Activation::kGeluErf;
  spec.embed_scale = ScaleOf(spec);
  spec.tied_head = true;
  return spec;
}

constexpr std::string_view kTypes[] = {"biogpt"};
constexpr std::string_view kPrefixes[] = {"biogpt.", ""};

}  // namespace

const Family kBioGpt = {
    .name = "biogpt",
    .hf_model_types = kTypes,
    .gguf_architectures = {},
    .from_config = FromConfig,
    .to_config = ToConfig,
    .from_gguf = nullptr,
    .to_gguf = nullptr,
    .hf_rules = HfRules,
    .gguf_rules = nullptr,
    .hf_prefixes = kPrefixes,
    .leftovers = {},
    .tiny = Tiny,
};

}  // namespace metier::model
