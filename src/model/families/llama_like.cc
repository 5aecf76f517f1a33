#include "model/families/llama_like.h"

#include <algorithm>
#include <string>

namespace metier::model {

ModelSpec ReadLlamaLike(HfConfig& in, std::string_view family, const LlamaDefaults& defaults) {
  ModelSpec spec;
  spec.family = family;
  spec.vocab = in.Size({"vocab_size"});
  spec.width = in.Size({"hidden_size"});
  spec.layers = in.Layers({"num_hidden_layers"});
  spec.layer.resize(static_cast<std::size_t>(spec.layers));
  spec.heads = in.Size({"num_attention_heads"});
  spec.kv_heads = in.SizeOr({"num_key_value_heads"}, spec.heads);
  if (in.Raw("head_dim") == nullptr && spec.width % spec.heads != 0)
    in.Refuse(ErrorCode::kDataCorrupt, "hidden_size", spec.width,
              "it does not divide by num_attention_heads, and head_dim is missing");
  spec.head_dim = in.SizeOr({"head_dim"}, std::max<std::int64_t>(1, spec.width / spec.heads));
  spec.max_positions = in.SizeOr({"max_position_embeddings"}, 2048);
  spec.norm.epsilon = in.NumberOr({"rms_norm_eps"}, defaults.rms_norm_eps);
  spec.rope = in.Rope(defaults.rope_theta);
  spec.tied_head = in.FlagOr("tie_word_embeddings", defaults.tied_head);
  in.Raw("is_decoder");  // written by some tools; these families are decoders either way
  return spec;
}

Json LlamaLikeConfig(const ModelSpec& spec, std::string_view architecture) {
  return Json{{"architectures", {architecture}},
              {"model_type", spec.family},
              {"vocab_size", spec.vocab},
              {"hidden_size", spec.width},
              {"num_hidden_layers", spec.layers},
              {"num_attention_heads", spec.heads},
              {"num_key_value_heads", spec.kv_heads},
              {"head_dim", spec.head_dim},
              {"max_position_embeddings", spec.max_positions},
              {"rms_norm_eps", spec.norm.epsilon},
              {"rope_theta", spec.rope.theta},
              {"rope_scaling", HfRopeScaling(spec.rope)},
              {"tie_word_embeddings", spec.tied_head}};
}

void ReadQwenWindows(HfConfig& in, ModelSpec& spec) {
  const bool use = in.FlagOr("use_sliding_window", false);
  const std::int64_t window = in.IsNull("sliding_window") ? 0 : in.SizeOr({"sliding_window"}, 4096);
  const std::vector<bool> types = in.SlidingLayers(spec.layers);
  std::int64_t first = 28;
  if (const Json* named = in.Raw("max_window_layers"); named == nullptr || *named != 0) {
    first = in.SizeOr({"max_window_layers"}, first);
  } else {
    first = 0;
  }
  in.Raw("sliding_window");
  if (!use || window == 0) return;
  for (std::int64_t i = 0; i < spec.layers; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (types.empty() ? i >= first : types[at]) spec.layer[at].sliding_window = window;
  }
}

void WriteQwenWindows(const ModelSpec& spec, Json& config) {
  std::int64_t window = 0;
  Json types = Json::array();
  for (const LayerSpec& layer : spec.layer) {
    window = std::max(window, layer.sliding_window);
    types.push_back(layer.sliding_window > 0 ? "sliding_attention" : "full_attention");
  }
  std::int64_t first = spec.layers;
  while (first > 0 && spec.layer[static_cast<std::size_t>(first - 1)].sliding_window > 0) --first;
  config["use_sliding_window"] = window > 0;
  config["sliding_window"] = window > 0 ? Json(window) : Json(nullptr);
  config["max_window_layers"] = first;
  if (window > 0) config["layer_types"] = std::move(types);
}

ModelSpec TinyLlamaLike(std::string_view family) {
  ModelSpec spec;
  spec.family = family;
  spec.vocab = 320;
  spec.width = 32;
  spec.layers = 2;
  spec.layer.resize(2);
  spec.heads = 4;
  spec.kv_heads = 2;
  spec.head_dim = 8;
  spec.hidden = 48;
  spec.max_positions = 64;
  return spec;
}

}  // namespace metier::model
