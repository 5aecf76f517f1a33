// model/families/llama_like.h - what llama and the families after it share: RMS norms, rotary
// positions, grouped queries, gated feed-forward.
#pragma once

#include <string_view>

#include "base/json.h"
#include "model/families/hf_config.h"
#include "model/model_spec.h"

namespace metier::model {

struct LlamaDefaults {
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0;
  bool tied_head = false;
};

// The shared keys: sizes, head_dim, activation, norm, rope, tying. Layers are uniform, without
// window.
ModelSpec ReadLlamaLike(HfConfig& in, std::string_view family, const LlamaDefaults& defaults = {});

// The same keys written; `architecture` is transformers' class ("LlamaForCausalLM").
Json LlamaLikeConfig(const ModelSpec& spec, std::string_view architecture);

// Qwen's use_sliding_window, sliding_window and max_window_layers (or layer_types): layers from
// max_window_layers on are windowed.
void ReadQwenWindows(HfConfig& in, ModelSpec& spec);
// Requires windows as ReadQwenWindows makes them: one length, in any layers.
void WriteQwenWindows(const ModelSpec& spec, Json& config);

// A tiny model that the families vary: vocabulary 320, width 32, 2 layers, 4 heads on 2 key-value
// heads of 8, hidden 48, 64 positions.
ModelSpec TinyLlamaLike(std::string_view family);

}  // namespace metier::model
