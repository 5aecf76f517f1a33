// BERT: the encoder. Learned positions, token types, norms after each residual sum, no causal mask;
// its output is the last hidden state, pooled as modules.json (or bert.pooling_type) says.
#include <array>

#include "model/families/families.h"
#include "model/families/gguf_config.h"
#include "model/families/hf_config.h"
#include "model/families/tensor_names.h"

namespace metier::model {
namespace {

constexpr NamePair kNames[] = {
    {"embed.tokens", "embeddings.word_embeddings.weight"},
    {"embed.positions", "embeddings.position_embeddings.weight"},
    {"embed.types", "embeddings.token_type_embeddings.weight"},
    {"embed.norm", "embeddings.LayerNorm"},
    {"attn.q", "attention.self.query"},
    {"attn.k", "attention.self.key"},
    {"attn.v", "attention.self.value"},
    {"attn.o", "attention.output.dense"},
    {"attn_norm", "attention.output.LayerNorm"},
    {"ffn.up", "intermediate.dense"},
    {"ffn.down", "output.dense"},
    {"ffn_norm", "output.LayerNorm"},
};

constexpr NamePair kGgufNames[] = {
    {"attn_norm", "attn_output_norm"},
    {"ffn_norm", "layer_output_norm"},
};

// GGUF's bert.pooling_type.
constexpr std::array kPoolings = {Pooling::kNone, Pooling::kMean, Pooling::kCls, Pooling::kLast};

void SetBert(ModelSpec& spec) {
  spec.family = "bert";
  spec.causal = false;
  spec.position = PositionKind::kLearned;
  spec.embed_norm = true;
  spec.final_norm = false;
  spec.head = false;
  spec.tied_head = false;
  spec.norm.kind = NormKind::kLayer;
  spec.norm.bias = true;
  spec.norm_place = NormPlace::kAfter;
  spec.activation = Activation::kGeluErf;
  spec.gated = false;
  spec.qkv_bias = true;
  spec.o_bias = true;
  spec.ffn_bias = true;
}

Result<ModelSpec> FromConfig(const Json& config) {
  HfConfig in(config);
  ModelSpec spec;
  SetBert(spec);
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
  spec.max_positions = in.SizeOr({"max_position_embeddings"}, 512);
  spec.types = in.SizeOr({"type_vocab_size"}, 2);
  spec.activation = in.ActivationOr({"hidden_act"}, Activation::kGeluErf);
  spec.norm.epsilon = in.NumberOr({"layer_norm_eps"}, 1e-12);
  in.Raw("tie_word_embeddings");  // of the pre-training head, which is not loaded
  return in.Finish(std::move(spec));
}

Json ToConfig(const ModelSpec& spec) {
  return Json{{"architectures", {"BertModel"}},
              {"model_type", "bert"},
              {"vocab_size", spec.vocab},
              {"hidden_size", spec.width},
              {"num_hidden_layers", spec.layers},
              {"num_attention_heads", spec.heads},
              {"intermediate_size", spec.hidden},
              {"hidden_act", HfActivationName(spec.activation)},
              {"max_position_embeddings", spec.max_positions},
              {"type_vocab_size", spec.types},
              {"layer_norm_eps", spec.norm.epsilon},
              {"position_embedding_type", "absolute"}};
}

Result<ModelSpec> FromGguf(const format::GgufFile& file) {
  GgufConfig in(file);
  ModelSpec spec = ReadGgufDimensions(in);
  SetBert(spec);
  spec.norm.epsilon = in.Number("attention.layer_norm_epsilon");
  const tensor::TensorView* types = file.Find("token_types.weight");
  if (types != nullptr && !types->shape.empty()) spec.types = types->shape[0];
  METIER_ASSIGN(const bool causal, file.BoolOr("bert.attention.causal", false));
  if (causal)
    in.Refuse(ErrorCode::kUnsupported, "attention.causal", "true, an encoder is expected");
  METIER_ASSIGN(const std::int64_t pooling, file.IntOr("bert.pooling_type", 0));
  if (pooling < 0 || pooling >= static_cast<std::int64_t>(kPoolings.size())) {
    in.Refuse(ErrorCode::kUnsupported, "pooling_type",
              "0 (none), 1 (mean), 2 (cls) or 3 (last) "
              "expected");
  } else {
    spec.pooling = kPoolings[static_cast<std::size_t>(pooling)];
  }
  return in.Finish(std::move(spec));
}

Result<GgufMetadata> ToGguf(const ModelSpec& spec) {
  if (spec.normalise_pooled || spec.activation != Activation::kGeluErf)
    return Error(ErrorCode::kUnsupported,
                 "GGUF's bert has no key for another activation than GELU, nor for normalised "
                 "vectors; write a Hugging Face directory instead");
  GgufMetadata metadata = GgufDimensions(spec, "bert");
  metadata["bert.attention.causal"] = false;
  metadata["tokenizer.ggml.token_type_count"] = static_cast<std::uint64_t>(spec.types);
  for (std::size_t i = 0; i < kPoolings.size(); ++i) {
    if (spec.pooling == kPoolings[i]) metadata["bert.pooling_type"] = std::uint64_t{i};
  }
  return metadata;
}

std::vector<TensorRule> HfRules(const ModelSpec& spec) {
  return RulesFromTable(spec, {"encoder.layer.{}.", kNames});
}

std::vector<TensorRule> GgufTensorRules(const ModelSpec& spec) {
  return GgufRules(spec, kGgufNames);
}

ModelSpec Tiny() {
  ModelSpec spec;
  SetBert(spec);
  spec.vocab = 320;
  spec.width = 32;
  spec.layers = 2;
  spec.layer.resize(2);
  spec.heads = 4;
  spec.kv_heads = 4;
  spec.head_dim = 8;
  spec.hidden = 64;
  spec.max_positions = 64;
  spec.types = 2;
  spec.norm.epsilon = 1e-12;
  spec.pooling = Pooling::kMean;
  return spec;
}

constexpr std::string_view kTypes[] = {"bert"};
constexpr std::string_view kPrefixes[] = {"", "bert."};
constexpr std::string_view kLeftovers[] = {"embeddings.position_ids",
                                           "pooler.dense.weight",
                                           "pooler.dense.bias",
                                           "cls.predictions.bias",
                                           "cls.predictions.decoder.weight",
                                           "cls.predictions.decoder.bias",
                                           "cls.predictions.transform.dense.weight",
                                           "cls.predictions.transform.dense.bias",
                                           "cls.predictions.transform.LayerNorm.weight",
                                           "cls.predictions.transform.LayerNorm.bias",
                                           "cls.seq_relationship.weight",
                                           "cls.seq_relationship.bias"};

}  // namespace

const Family kBert = {
    .name = "bert",
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
