// Mistral: Llama with a sliding window in every layer. transformers' default window, for configs
// that do not name one, is 4096; null means none (from version 0.2 on).
#include "model/families/families.h"
#include "model/families/gguf_llama.h"
#include "model/families/llama_like.h"
#include "model/families/tensor_names.h"

namespace metier::model {
namespace {

Result<ModelSpec> FromConfig(const Json& config) {
  HfConfig in(config);
  ModelSpec spec = ReadLlamaLike(in, "mistral");
  spec.hidden = in.Size({"intermediate_size"});
  spec.activation = in.ActivationOr({"hidden_act"}, Activation::kSilu);
  const std::int64_t window = in.IsNull("sliding_window") ? 0 : in.SizeOr({"sliding_window"}, 4096);
  in.Raw("sliding_window");
  for (LayerSpec& layer : spec.layer) layer.sliding_window = window;
  return in.Finish(std::move(spec));
}

Json ToConfig(const ModelSpec& spec) {
  const std::int64_t window = spec.layer.front().sliding_window;
  Json config = LlamaLikeConfig(spec, "MistralForCausalLM");
  config["intermediate_size"] = spec.hidden;
  config["hidden_act"] = HfActivationName(spec.activation);
  config["sliding_window"] = window > 0 ? Json(window) : Json(nullptr);
  return config;
}

std::vector<TensorRule> HfRules(const ModelSpec& spec) { return LlamaHfRules(spec); }

ModelSpec Tiny() {
  ModelSpec spec = TinyLlamaLike("mistral");
  spec.head_dim = 16;  // unlike width / heads
  for (LayerSpec& layer : spec.layer) layer.sliding_window = 9;
  return spec;
}

constexpr std::string_view kTypes[] = {"mistral"};

}  // namespace

const Family kMistral = {
    .name = "mistral",
    .hf_model_types = kTypes,
    .gguf_architectures = {},  // "llama", whose row hands it on
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
