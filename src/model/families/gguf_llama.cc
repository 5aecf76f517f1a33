#include "model/families/gguf_llama.h"

#include "model/families/gguf_config.h"
#include "model/families/tensor_names.h"

namespace metier::model {

Result<ModelSpec> LlamaFromGguf(const format::GgufFile& file) {
  GgufConfig in(file);
  ModelSpec spec = ReadGgufDimensions(in);
  spec.family = "llama";
  spec.norm.epsilon = in.Number("attention.layer_norm_rms_epsilon");
  spec.rope = in.Rope(spec.head_dim, 10000.0);
  ReadGgufBiases(in, spec);
  if (const std::int64_t window =
          in.Has("attention.sliding_window") ? in.Size("attention.sliding_window") : 0) {
    spec.family = "mistral";
    for (LayerSpec& layer : spec.layer) layer.sliding_window = window;
  }
  // The converter writes the count as 0 for dense models of some families.
  const auto experts = file.IntOr("llama.expert_count", 0);
  if (!experts.ok() || *experts != 0) {
    spec.family = "mixtral";
    spec.moe.experts = in.Size("expert_count");
    spec.moe.top_k = in.Size("expert_used_count");
    spec.moe.score = RouterScore::kTopKThenSoftmax;
  }
  return in.Finish(std::move(spec));
}

Result<GgufMetadata> LlamaToGguf(const ModelSpec& spec) {
  GgufMetadata metadata = GgufDimensions(spec, "llama");
  AddGgufRope(spec, "llama", metadata);
  if (spec.layer.front().sliding_window > 0)
    metadata["llama.attention.sliding_window"] =
        static_cast<std::uint64_t>(spec.layer.front().sliding_window);
  if (spec.moe.experts > 0) {
    metadata["llama.expert_count"] = static_cast<std::uint64_t>(spec.moe.experts);
    metadata["llama.expert_used_count"] = static_cast<std::uint64_t>(spec.moe.top_k);
  }
  return metadata;
}

std::vector<TensorRule> LlamaGgufRules(const ModelSpec& spec) {
  std::vector<TensorRule> rules = GgufRules(spec);
  for (TensorRule& rule : rules) {
    if (IsOfLayerModule(rule.ours, "attn.q") || IsOfLayerModule(rule.ours, "attn.k"))
      rule.order = RowOrder::kRopePairs;
  }
  return rules;
}

}  // namespace metier::model
