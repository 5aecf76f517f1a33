// Our own models with experts: a llama whose feed-forwards are experts of the kinds that no other
// family's config can say (docs/adr/0024).
//
//   metier_experts        tokens choose; layers may have other numbers of experts, or none
//   (pyramid),
//                         and a dense feed-forward beside them (residual)
//   metier_task_experts   the text's task chooses, alike
//   metier_expert_choice  experts choose: an encoder
//
// The first two are encoders where `is_causal` is false.
//
// GGUF has one key of ours, which holds the config.json: nobody else reads these models.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

#include "model/families/families.h"
#include "model/families/gguf_config.h"
#include "model/families/llama_like.h"
#include "model/families/tensor_names.h"

namespace metier::model {
namespace {

constexpr std::string_view kByToken[] = {"metier_experts"};
constexpr std::string_view kByTask[] = {"metier_task_experts"};
constexpr std::string_view kByExpert[] = {"metier_expert_choice"};

// What a config says an encoder's architecture is.
constexpr std::string_view kWithHead = "MetierExpertsForMaskedLM";
constexpr std::string_view kWithoutHead = "MetierExpertsModel";

constexpr NamePair kOwnNames[] = {
    {"embed.tasks", "model.embed_tasks.weight"},
    {"router", "mlp.router"},
    {"mix", "mlp.mix"},
    {"expert.gate", "mlp.experts.{}.gate_proj"},
    {"expert.up", "mlp.experts.{}.up_proj"},
    {"expert.down", "mlp.experts.{}.down_proj"},
};

struct ScoreName {
  std::string_view name;
  RouterScore score;
};
constexpr std::array kScoreNames = {
    ScoreName{"softmax_then_top_k", RouterScore::kSoftmaxThenTopK},
    ScoreName{"top_k_then_softmax", RouterScore::kTopKThenSoftmax},
    ScoreName{"sigmoid", RouterScore::kSigmoid},
};

RouterScore ReadScore(HfConfig& in) {
  const Json* value = in.Raw("router_score");
  if (value == nullptr) return RouterScore::kSoftmaxThenTopK;
  for (const ScoreName& row : kScoreNames) {
    if (*value == row.name) return row.score;
  }
  in.Refuse(ErrorCode::kDataCorrupt, "router_score", *value,
            "softmax_then_top_k, top_k_then_softmax or sigmoid expected");
  return RouterScore::kSoftmaxThenTopK;
}

std::string_view NameOfScore(RouterScore score) {
  return std::ranges::find(kScoreNames, score, &ScoreName::score)->name;
}

// One number, or one a layer.
void ReadExperts(HfConfig& in, ModelSpec& spec) {
  const Json* value = in.Raw("num_experts");
  if (value == nullptr || !value->is_array()) {
    spec.moe.experts = in.Size({"num_experts"});
    return;
  }
  for (const Json& item : *value) {
    if (!item.is_number_integer() || item < 0 || item > 1 << 20) break;
    spec.moe.of_layer.push_back(item.get<std::int64_t>());
  }
  const auto layers = static_cast<std::size_t>(spec.layers);
  if (spec.moe.of_layer.size() != layers || value->size() != layers) {
    in.Refuse(ErrorCode::kDataCorrupt, "num_experts", *value,
              "a number, or one for each layer, 0 for a dense one, expected");
    return;
  }
  const auto [least, most] = std::ranges::minmax(spec.moe.of_layer);
  spec.moe.experts = most;
  if (least == most) spec.moe.of_layer.clear();
}

std::vector<std::string> ReadTasks(HfConfig& in) {
  const Json* value = in.Raw("tasks");
  std::vector<std::string> tasks;
  if (value != nullptr && value->is_array()) {
    for (const Json& item : *value) {
      if (item.is_string()) tasks.push_back(item.get<std::string>());
    }
    if (!tasks.empty() && tasks.size() == value->size()) return tasks;
  }
  in.Refuse(ErrorCode::kDataCorrupt, "tasks", value == nullptr ? Json(nullptr) : *value,
            "a list of the tasks' names expected");
  return {};
}

// An encoder has the head that it was trained with to restore hidden tokens, or none.
void ReadHead(HfConfig& in, ModelSpec& spec) {
  const Json* names = in.Raw("architectures");
  spec.head = names != nullptr && *names == Json::array({kWithHead});
  spec.tied_head = spec.tied_head && spec.head;
}

ModelSpec ReadShared(HfConfig& in, std::string_view family, bool causal = true) {
  ModelSpec spec = ReadLlamaLike(in, family, {.rms_norm_eps = 1e-5});
  spec.hidden = in.Size({"intermediate_size"});
  spec.activation = in.ActivationOr({"hidden_act"}, Activation::kSilu);
  spec.qkv_bias = in.FlagOr("attention_bias", false);
  spec.o_bias = in.FlagOr("attention_output_bias", false);
  spec.qk_norm = in.FlagOr("qk_norm", false);
  ReadQwenWindows(in, spec);
  ReadExperts(in, spec);
  spec.moe.residual = in.FlagOr("residual_experts", false);
  spec.causal = in.FlagOr("is_causal", causal);
  if (!spec.causal) ReadHead(in, spec);
  return spec;
}

Json WriteShared(const ModelSpec& spec) {
  Json config = LlamaLikeConfig(spec, "MetierExperts");
  config["intermediate_size"] = spec.hidden;
  config["hidden_act"] = HfActivationName(spec.activation);
  config["attention_bias"] = spec.qkv_bias;
  config["attention_output_bias"] = spec.o_bias;
  config["qk_norm"] = spec.qk_norm;
  WriteQwenWindows(spec, config);
  config["num_experts"] =
      spec.moe.of_layer.empty() ? Json(spec.moe.experts) : Json(spec.moe.of_layer);
  config["residual_experts"] = spec.moe.residual;
  if (spec.causal) return config;
  config["architectures"] = Json::array({spec.head ? kWithHead : kWithoutHead});
  config["is_causal"] = false;
  return config;
}

Result<ModelSpec> TokenFromConfig(const Json& config) {
  HfConfig in(config);
  ModelSpec spec = ReadShared(in, kByToken[0]);
  spec.moe.top_k = in.SizeOr({"num_experts_per_tok"}, 1);
  spec.moe.score = ReadScore(in);
  spec.moe.normalise_top_k = in.FlagOr("norm_topk_prob", false);
  return in.Finish(std::move(spec));
}

Json TokenToConfig(const ModelSpec& spec) {
  Json config = WriteShared(spec);
  config["num_experts_per_tok"] = spec.moe.top_k;
  config["router_score"] = NameOfScore(spec.moe.score);
  config["norm_topk_prob"] = spec.moe.normalise_top_k;
  return config;
}

Result<ModelSpec> TaskFromConfig(const Json& config) {
  HfConfig in(config);
  ModelSpec spec = ReadShared(in, kByTask[0]);
  spec.moe.chooser = ExpertChooser::kTask;
  spec.moe.top_k = in.SizeOr({"num_experts_per_tok"}, 2);
  spec.moe.tasks = ReadTasks(in);
  return in.Finish(std::move(spec));
}

Json TaskToConfig(const ModelSpec& spec) {
  Json config = WriteShared(spec);
  config["num_experts_per_tok"] = spec.moe.top_k;
  config["tasks"] = spec.moe.tasks;
  return config;
}

void SetExpertChoice(ModelSpec& spec) {
  spec.moe.chooser = ExpertChooser::kExpert;
  spec.moe.top_k = 1;
  spec.moe.score = RouterScore::kSoftmaxThenTopK;
  spec.moe.normalise_top_k = false;
}

Result<ModelSpec> ExpertFromConfig(const Json& config) {
  HfConfig in(config);
  ModelSpec spec = ReadShared(in, kByExpert[0], /*causal=*/false);
  SetExpertChoice(spec);
  spec.moe.capacity = in.NumberOr({"expert_capacity"}, 2);
  return in.Finish(std::move(spec));
}

Json ExpertToConfig(const ModelSpec& spec) {
  Json config = WriteShared(spec);
  config["expert_capacity"] = spec.moe.capacity;
  return config;
}

using ReadConfig = Result<ModelSpec> (*)(const Json& config);

Result<ModelSpec> FromOwnGguf(const format::GgufFile& file, std::string_view architecture,
                              ReadConfig read) {
  METIER_ASSIGN(const std::string text, file.Text(std::string(architecture) + ".config"));
  METIER_ASSIGN(const Json config, ParseJson(text, {}));
  return read(config);
}

Result<GgufMetadata> ToOwnGguf(const ModelSpec& spec, const Json& config, ReadConfig read) {
  METIER_ASSIGN(const ModelSpec again, read(config));
  if (again != spec) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("GGUF's {} holds what the config.json says, which is not all of this "
                             "model (its pooling, or rotary factors that follow no formula); write "
                             "a Hugging Face directory instead",
                             spec.family));
  }
  return GgufMetadata{{"general.architecture", spec.family},
                      {spec.family + ".config", DumpCompact(config)}};
}

Result<ModelSpec> TokenFromGguf(const format::GgufFile& file) {
  return FromOwnGguf(file, kByToken[0], TokenFromConfig);
}
Result<ModelSpec> TaskFromGguf(const format::GgufFile& file) {
  return FromOwnGguf(file, kByTask[0], TaskFromConfig);
}
Result<ModelSpec> ExpertFromGguf(const format::GgufFile& file) {
  return FromOwnGguf(file, kByExpert[0], ExpertFromConfig);
}
Result<GgufMetadata> TokenToGguf(const ModelSpec& spec) {
  return ToOwnGguf(spec, TokenToConfig(spec), TokenFromConfig);
}
Result<GgufMetadata> TaskToGguf(const ModelSpec& spec) {
  return ToOwnGguf(spec, TaskToConfig(spec), TaskFromConfig);
}
Result<GgufMetadata> ExpertToGguf(const ModelSpec& spec) {
  return ToOwnGguf(spec, ExpertToConfig(spec), ExpertFromConfig);
}

constexpr NamePair kOwnGgufNames[] = {
    {"embed.tasks", "task_embd.weight"},
    {"mix", "ffn_mix"},
};

std::vector<TensorRule> HfRules(const ModelSpec& spec) { return LlamaHfRules(spec, kOwnNames); }
std::vector<TensorRule> GgufTensorRules(const ModelSpec& spec) {
  return GgufRules(spec, kOwnGgufNames);
}

ModelSpec TinyOf(std::string_view family, std::vector<std::int64_t> of_layer) {
  ModelSpec spec = TinyLlamaLike(family);
  spec.layers = static_cast<std::int64_t>(of_layer.size());
  spec.layer.resize(of_layer.size());
  spec.hidden = 32;
  spec.moe.experts = std::ranges::max(of_layer);
  spec.moe.of_layer = std::move(of_layer);
  return spec;
}

// A dense layer, then ever more experts, one a token, beside a dense feed-forward (PR-MoE).
ModelSpec TinyByToken() {
  ModelSpec spec = TinyOf(kByToken[0], {0, 2, 4});
  spec.layer[1].sliding_window = 9;
  spec.qk_norm = true;
  spec.qkv_bias = true;
  spec.o_bias = true;
  spec.moe.top_k = 1;
  spec.moe.score = RouterScore::kSoftmaxThenTopK;
  spec.moe.normalise_top_k = false;
  spec.moe.residual = true;
  return spec;
}

// One task taken out of several: what is served.
ModelSpec TinyByTask() {
  ModelSpec spec = TinyOf(kByTask[0], {2, 2});
  spec.moe.of_layer.clear();
  spec.qk_norm = true;
  spec.tied_head = true;
  spec.moe.chooser = ExpertChooser::kTask;
  spec.moe.top_k = 2;
  spec.moe.tasks = {"translate"};
  return spec;
}

ModelSpec TinyByExpert() {
  ModelSpec spec = TinyOf(kByExpert[0], {3, 0, 4});
  SetExpertChoice(spec);
  spec.causal = false;
  spec.moe.residual = true;
  spec.moe.capacity = 1.5;
  return spec;
}

// Whatever the config's rotary scaling is, GGUF's writer adds its factors.
constexpr std::string_view kOwnLeftovers[] = {"rotary_emb.inv_freq", "rope_freqs.weight"};

}  // namespace

const Family kMetierExpertChoice = {
    .name = kByExpert[0],
    .hf_model_types = kByExpert,
    .gguf_architectures = kByExpert,
    .from_config = ExpertFromConfig,
    .to_config = ExpertToConfig,
    .from_gguf = ExpertFromGguf,
    .to_gguf = ExpertToGguf,
    .hf_rules = HfRules,
    .gguf_rules = GgufTensorRules,
    .hf_prefixes = kLlamaPrefixes,
    .leftovers = kOwnLeftovers,
    .tiny = TinyByExpert,
};

const Family kMetierExperts = {
    .name = kByToken[0],
    .hf_model_types = kByToken,
    .gguf_architectures = kByToken,
    .from_config = TokenFromConfig,
    .to_config = TokenToConfig,
    .from_gguf = TokenFromGguf,
    .to_gguf = TokenToGguf,
    .hf_rules = HfRules,
    .gguf_rules = GgufTensorRules,
    .hf_prefixes = kLlamaPrefixes,
    .leftovers = kOwnLeftovers,
    .tiny = TinyByToken,
};

const Family kMetierTaskExperts = {
    .name = kByTask[0],
    .hf_model_types = kByTask,
    .gguf_architectures = kByTask,
    .from_config = TaskFromConfig,
    .to_config = TaskToConfig,
    .from_gguf = TaskFromGguf,
    .to_gguf = TaskToGguf,
    .hf_rules = HfRules,
    .gguf_rules = GgufTensorRules,
    .hf_prefixes = kLlamaPrefixes,
    .leftovers = kOwnLeftovers,
    .tiny = TinyByTask,
};

}  // namespace metier::model
