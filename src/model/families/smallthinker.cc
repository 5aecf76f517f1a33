// SmallThinker (arXiv 2507.20984): experts whose router reads the block's raw input, so that they
// can be fetched while attention runs; ReGLU; some layers without positions and with full
// attention, the others rotary with a window.
//
// GGUF fixes that pattern: every fourth layer, from the first, is without positions and window, and
// the window is 4096; a file without one is rotary everywhere.
#include "model/families/families.h"
#include "model/families/gguf_config.h"
#include "model/families/llama_like.h"
#include "model/families/tensor_names.h"

namespace metier::model {
namespace {

constexpr std::int64_t kGgufPattern = 4;
constexpr std::int64_t kGgufWindow = 4096;
constexpr std::uint64_t kGatingSoftmax = 1;
constexpr std::uint64_t kGatingSigmoid = 2;

constexpr NamePair kNames[] = {
    {"router", "block_sparse_moe.primary_router"},
    {"expert.gate", "block_sparse_moe.experts.{}.gate"},
    {"expert.up", "block_sparse_moe.experts.{}.up"},
    {"expert.down", "block_sparse_moe.experts.{}.down"},
};

void SetSmallThinker(ModelSpec& spec) {
  spec.family = "smallthinker";
  spec.activation = Activation::kRelu;
  spec.moe.router_input = RouterInput::kBlockInput;
  spec.moe.normalise_top_k = true;
}

void ReadLayouts(HfConfig& in, ModelSpec& spec) {
  const std::vector<bool> rope = in.Flags("rope_layout", spec.layers);
  const std::vector<bool> windows = in.Flags("sliding_window_layout", spec.layers);
  const std::int64_t window = in.SizeOr({"sliding_window_size"}, kGgufWindow);
  const std::vector<bool> experts = in.Flags("moe_layer_layout", spec.layers);
  for (std::size_t i = 0; i < spec.layer.size(); ++i) {
    if (!rope.empty()) spec.layer[i].rope = rope[i];
    if (!windows.empty() && windows[i]) spec.layer[i].sliding_window = window;
    if (!experts.empty() && !experts[i])
      in.Refuse(ErrorCode::kUnsupported, "moe_layer_layout", *in.Raw("moe_layer_layout"),
                "only 1 is supported: experts in every layer");
  }
}

Result<ModelSpec> FromConfig(const Json& config) {
  HfConfig in(config);
  ModelSpec spec = ReadLlamaLike(in, "smallthinker");
  SetSmallThinker(spec);
  spec.hidden = in.Size({"moe_ffn_hidden_size"});
  spec.moe.experts = in.Size({"moe_num_primary_experts"});
  spec.moe.top_k = in.Size({"moe_num_active_primary_experts"});
  spec.moe.score = in.FlagOr("moe_primary_router_apply_softmax", false)
                       ? RouterScore::kTopKThenSoftmax
                       : RouterScore::kSigmoid;
  if (in.ActivationOr({"hidden_act"}, Activation::kRelu) != Activation::kRelu)
    in.Refuse(ErrorCode::kUnsupported, "hidden_act", *in.Raw("hidden_act"), "\"relu\" is expected");
  if (!in.FlagOr("moe_enable_early_router", true))
    in.Refuse(ErrorCode::kUnsupported, "moe_enable_early_router", false,
              "only a router before the attention is supported");
  ReadLayouts(in, spec);
  return in.Finish(std::move(spec));
}

Json ToConfig(const ModelSpec& spec) {
  Json config = LlamaLikeConfig(spec, "SmallThinkerForCausalLM");
  config["moe_ffn_hidden_size"] = spec.hidden;
  config["moe_num_primary_experts"] = spec.moe.experts;
  config["moe_num_active_primary_experts"] = spec.moe.top_k;
  config["moe_primary_router_apply_softmax"] = spec.moe.score == RouterScore::kTopKThenSoftmax;
  Json rope = Json::array();
  Json windows = Json::array();
  std::int64_t window = 0;
  for (const LayerSpec& layer : spec.layer) {
    rope.push_back(layer.rope ? 1 : 0);
    windows.push_back(layer.sliding_window > 0 ? 1 : 0);
    window = std::max(window, layer.sliding_window);
  }
  config["rope_layout"] = std::move(rope);
  config["sliding_window_layout"] = std::move(windows);
  config["sliding_window_size"] = window > 0 ? window : kGgufWindow;
  return config;
}

// The layer that GGUF's pattern puts at this place.
LayerSpec GgufLayer(std::size_t index, std::int64_t window) {
  if (window == 0) return {};
  if (index % kGgufPattern == 0) return {.rope = false};
  return {.rope = true, .sliding_window = window};
}

Result<ModelSpec> FromGguf(const format::GgufFile& file) {
  GgufConfig in(file);
  ModelSpec spec = ReadGgufDimensions(in);
  SetSmallThinker(spec);
  spec.hidden = in.SizeOr("expert_feed_forward_length", spec.hidden);
  spec.norm.epsilon = in.Number("attention.layer_norm_rms_epsilon");
  spec.rope = in.Rope(spec.head_dim, 10000.0);
  spec.moe.experts = in.Size("expert_count");
  spec.moe.top_k = in.Size("expert_used_count");
  const std::int64_t gating = in.SizeOr("expert_gating_func", kGatingSoftmax);
  spec.moe.score = gating == kGatingSigmoid ? RouterScore::kSigmoid : RouterScore::kTopKThenSoftmax;
  if (gating != kGatingSigmoid && gating != kGatingSoftmax)
    in.Refuse(ErrorCode::kUnsupported, "expert_gating_func", "1 (softmax) or 2 (sigmoid) expected");
  const std::int64_t window =
      in.Has("attention.sliding_window") ? in.Size("attention.sliding_window") : 0;
  for (std::size_t i = 0; i < spec.layer.size(); ++i) spec.layer[i] = GgufLayer(i, window);
  return in.Finish(std::move(spec));
}

Result<GgufMetadata> ToGguf(const ModelSpec& spec) {
  std::int64_t window = 0;
  for (const LayerSpec& layer : spec.layer) window = std::max(window, layer.sliding_window);
  for (std::size_t i = 0; i < spec.layer.size(); ++i) {
    if (spec.layer[i] == GgufLayer(i, window) && (window == 0 || window == kGgufWindow)) continue;
    return Error(ErrorCode::kUnsupported,
                 "GGUF's smallthinker fixes the layers: every fourth without positions, the others "
                 "with a window of 4096; this model's differ: write a Hugging Face directory");
  }
  GgufMetadata metadata = GgufDimensions(spec, "smallthinker");
  AddGgufRope(spec, "smallthinker", metadata);
  metadata["smallthinker.expert_feed_forward_length"] = static_cast<std::uint64_t>(spec.hidden);
  metadata["smallthinker.expert_count"] = static_cast<std::uint64_t>(spec.moe.experts);
  metadata["smallthinker.expert_used_count"] = static_cast<std::uint64_t>(spec.moe.top_k);
  metadata["smallthinker.expert_gating_func"] =
      spec.moe.score == RouterScore::kSigmoid ? kGatingSigmoid : kGatingSoftmax;
  if (window > 0)
    metadata["smallthinker.attention.sliding_window"] = static_cast<std::uint64_t>(window);
  return metadata;
}

std::vector<TensorRule> HfRules(const ModelSpec& spec) { return LlamaHfRules(spec, kNames); }
std::vector<TensorRule> GgufTensorRules(const ModelSpec& spec) { return GgufRules(spec); }

ModelSpec Tiny() {
  ModelSpec spec = TinyLlamaLike("smallthinker");
  SetSmallThinker(spec);
  spec.norm.epsilon = 1e-6;
  spec.layers = 5;
  spec.hidden = 24;
  spec.tied_head = true;
  spec.moe.experts = 4;
  spec.moe.top_k = 2;
  spec.moe.score = RouterScore::kSigmoid;
  spec.layer.clear();
  for (std::size_t i = 0; i < 5; ++i) spec.layer.push_back(GgufLayer(i, 9));
  return spec;
}

constexpr std::string_view kTypes[] = {"smallthinker"};

}  // namespace

const Family kSmallThinker = {
    .name = "smallthinker",
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
