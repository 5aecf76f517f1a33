#include "model/families/hf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/limits.h"

namespace metier::model {
namespace {

struct ActivationName {
  std::string_view name;
  Activation activation;
};

// transformers' ACT2FN. The first name of an activation is the one we write.
constexpr std::array kActivations = {
    ActivationName{"silu", Activation::kSilu},
    ActivationName{"swish", Activation::kSilu},
    ActivationName{"gelu", Activation::kGeluErf},
    ActivationName{"gelu_python", Activation::kGeluErf},
    ActivationName{"gelu_new", Activation::kGeluTanh},
    ActivationName{"gelu_pytorch_tanh", Activation::kGeluTanh},
    ActivationName{"gelu_fast", Activation::kGeluTanh},
    ActivationName{"relu", Activation::kRelu},
};

// Keys of some family or other that change what a network computes. Where the family at hand does
// not read them they must be absent, null, false, empty, or one of `neutral` (JSON texts).
struct FunctionKey {
  std::string_view key;
  std::string_view neutral = "";
};
constexpr FunctionKey kFunctionKeys[] = {
    {"add_cross_attention"},
    {"alibi"},
    {"apply_residual_connection_post_layernorm"},
    {"attention_bias"},
    {"attention_chunk_size"},
    {"attention_multiplier", "1 1.0"},
    {"attention_sink"},
    {"attn_logit_softcapping"},
    {"attn_temperature_tuning"},
    {"clip_qkv"},
    {"embedding_multiplier", "1 1.0"},
    {"final_logit_softcapping"},
    {"first_k_dense_replace", "0"},
    {"hidden_act"},
    {"hidden_activation"},
    {"is_decoder"},
    {"is_encoder_decoder"},
    {"kv_lora_rank"},
    {"logit_scale", "1 1.0"},
    {"logit_softcapping"},
    {"logits_scaling", "1 1.0"},
    {"mlp_bias"},
    {"moe_enable_secondary_experts"},
    {"moe_layer_layout"},
    {"multi_query"},
    {"n_routed_experts", "0"},
    {"n_shared_experts", "0"},
    {"no_rope_layers"},
    {"num_experts", "0"},
    {"num_local_experts", "0"},
    {"num_shared_experts", "0"},
    {"parallel_attn"},
    {"partial_rotary_factor", "1 1.0"},
    {"position_embedding_type", "\"absolute\" \"rope\""},
    {"pruned_heads"},
    {"q_lora_rank"},
    {"qk_layernorm"},
    {"quantization_config"},
    {"query_pre_attn_scalar"},
    {"residual_multiplier", "1 1.0"},
    {"rope_parameters"},
    {"rope_scaling"},
    {"rotary_pct", "1 1.0"},
    {"scale_attn_by_inverse_layer_idx"},
    {"shared_expert_intermediate_size", "0"},
    {"sliding_window"},
    {"text_config"},
    {"use_parallel_residual"},
    {"use_qk_norm"},
    {"use_sliding_window"},
    {"vision_config"},
};

bool IsNeutral(const FunctionKey& row, const Json& value) {
  if (value.is_null() || (value.is_boolean() && !value.get<bool>())) return true;
  if ((value.is_array() || value.is_object()) && value.empty()) return true;
  const std::string text = DumpCompact(value);
  std::string_view rest = row.neutral;
  while (!rest.empty()) {
    const std::size_t space = rest.find(' ');
    if (rest.substr(0, space) == text) return true;
    rest = space == rest.npos ? std::string_view() : rest.substr(space + 1);
  }
  return false;
}

constexpr std::uint64_t kMaxSize = 1ULL << 32;

}  // namespace

HfConfig::HfConfig(const Json& config) : config_(config) {
  if (!config.is_object()) error_ = Error(ErrorCode::kDataCorrupt, "config: not a JSON object");
}

const Json* HfConfig::Raw(std::string_view key) {
  read_.emplace(key);
  if (!config_.is_object()) return nullptr;
  const auto found = config_.find(std::string(key));
  return found == config_.end() || found->is_null() ? nullptr : &*found;
}

bool HfConfig::IsNull(std::string_view key) const {
  if (!config_.is_object()) return false;
  const auto found = config_.find(std::string(key));
  return found != config_.end() && found->is_null();
}

void HfConfig::Refuse(ErrorCode code, std::string_view key, const Json& found,
                      std::string_view expected) {
  if (error_) return;
  error_ = Error(code, fmt::format("config: \"{}\" is {}; {}", key, DumpCompact(found), expected));
}

const Json* HfConfig::First(Keys keys) {
  const Json* first = nullptr;
  std::string_view first_key;
  for (const std::string_view key : keys) {
    const Json* value = Raw(key);
    if (value == nullptr) continue;
    if (first != nullptr && *first != *value)
      Refuse(ErrorCode::kDataCorrupt, key, *value,
             fmt::format("\"{}\", which means the same, is {}", first_key, DumpCompact(*first)));
    if (first != nullptr) continue;
    first = value;
    first_key = key;
  }
  return first;
}

std::int64_t HfConfig::CheckedSize(std::string_view key, const Json& value) {
  const bool whole = value.is_number_integer();  // unsigned ones included
  if (!whole || value.get<std::int64_t>() < 1 ||
      static_cast<std::uint64_t>(value.get<std::int64_t>()) > kMaxSize) {
    Refuse(ErrorCode::kDataCorrupt, key, value, "a whole number from 1 to 2^32 is expected");
    return 1;
  }
  return value.get<std::int64_t>();
}

std::int64_t HfConfig::Size(Keys keys) {
  const Json* value = First(keys);
  if (value != nullptr) return CheckedSize(*keys.begin(), *value);
  if (!error_)
    error_ =
        Error(ErrorCode::kDataCorrupt, fmt::format("config: \"{}\" is missing", *keys.begin()));
  return 1;
}

std::int64_t HfConfig::SizeOr(Keys keys, std::int64_t fallback) {
  const Json* value = First(keys);
  return value == nullptr ? fallback : CheckedSize(*keys.begin(), *value);
}

std::int64_t HfConfig::Layers(Keys keys) {
  const std::int64_t layers = Size(keys);
  const auto limit = static_cast<std::int64_t>(Limits().max_layers);
  if (layers <= limit) return layers;
  Refuse(ErrorCode::kResourceExhausted, *keys.begin(), layers,
         fmt::format("the limit is {}", limit));
  return 1;
}

double HfConfig::CheckedNumber(std::string_view key, const Json& value) {
  if (value.is_number() && std::isfinite(value.get<double>())) return value.get<double>();
  Refuse(ErrorCode::kDataCorrupt, key, value, "a number is expected");
  return 1;
}

double HfConfig::NumberOr(Keys keys, double fallback) {
  const Json* value = First(keys);
  return value == nullptr ? fallback : CheckedNumber(*keys.begin(), *value);
}

bool HfConfig::FlagOr(std::string_view key, bool fallback) {
  const Json* value = Raw(key);
  if (value == nullptr) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  Refuse(ErrorCode::kDataCorrupt, key, *value, "true or false is expected");
  return fallback;
}

Activation HfConfig::ActivationOr(Keys keys, Activation fallback) {
  const Json* value = First(keys);
  if (value == nullptr) return fallback;
  std::string known;
  for (const ActivationName& row : kActivations) {
    if (*value == row.name) return row.activation;
    known += fmt::format(" {}", row.name);
  }
  Refuse(ErrorCode::kUnsupported, *keys.begin(), *value, "known activations:" + known);
  return fallback;
}

std::vector<bool> HfConfig::Flags(std::string_view key, std::int64_t layers) {
  const Json* value = Raw(key);
  std::vector<bool> flags;
  if (value == nullptr) return flags;
  if (value->is_array()) {
    for (const Json& item : *value) {
      if (item == 0 || item == 1) flags.push_back(item == 1);
    }
    if (flags.size() != value->size()) flags.clear();
  }
  if (flags.size() == static_cast<std::size_t>(layers)) return flags;
  Refuse(ErrorCode::kDataCorrupt, key, *value, fmt::format("{} times 0 or 1 is expected", layers));
  return {};
}

std::vector<bool> HfConfig::SlidingLayers(std::int64_t layers) {
  const Json* value = Raw("layer_types");
  std::vector<bool> sliding;
  if (value == nullptr) return sliding;
  if (value->is_array()) {
    for (const Json& item : *value) {
      if (item == "full_attention" || item == "sliding_attention")
        sliding.push_back(item == "sliding_attention");
    }
    if (sliding.size() != value->size()) sliding.clear();
  }
  if (sliding.size() == static_cast<std::size_t>(layers)) return sliding;
  Refuse(ErrorCode::kUnsupported, "layer_types", *value,
         fmt::format("{} times \"full_attention\" or \"sliding_attention\" is expected", layers));
  return {};
}

void HfConfig::RopeFromObject(const Json& object, std::string_view key, RopeSpec& rope) {
  if (!object.is_object()) {
    Refuse(ErrorCode::kDataCorrupt, key, object, "an object is expected");
    return;
  }
  const auto number = [&](const char* name, double fallback) {
    const auto found = object.find(name);
    if (found == object.end()) return fallback;
    return CheckedNumber(fmt::format("{}.{}", key, name), *found);
  };
  const auto require = [&](const char* name) {
    if (object.find(name) == object.end())
      Refuse(ErrorCode::kDataCorrupt, key, object, fmt::format("\"{}\" is missing", name));
    return number(name, 1);
  };
  // "type" is the older name of "rope_type"; checkpoints may carry both.
  auto type = object.find("rope_type");
  if (type == object.end()) type = object.find("type");
  if (object.find("partial_rotary_factor") != object.end() &&
      number("partial_rotary_factor", 1) != 1)
    Refuse(ErrorCode::kUnsupported, key, object, "partial_rotary_factor other than 1");
  rope.theta = number("rope_theta", rope.theta);
  if (type == object.end() || *type == "default") {
    if (type == object.end() && object.find("rope_theta") == object.end() && !object.empty())
      Refuse(ErrorCode::kUnsupported, key, object, "\"rope_type\" is missing");
    return;
  }
  if (*type == "linear") {
    rope.scaling = RopeScaling::kLinear;
    rope.factor = require("factor");
  } else if (*type == "llama3") {
    rope.scaling = RopeScaling::kLlama3;
    rope.factor = require("factor");
    rope.low_freq_factor = require("low_freq_factor");
    rope.high_freq_factor = require("high_freq_factor");
    const auto original = object.find("original_max_position_embeddings");
    if (original == object.end()) {
      require("original_max_position_embeddings");
    } else {
      rope.original_positions =
          CheckedSize(fmt::format("{}.original_max_position_embeddings", key), *original);
    }
  } else {
    Refuse(ErrorCode::kUnsupported, fmt::format("{}.rope_type", key), *type,
           "known scalings: default linear llama3");
  }
}

RopeSpec HfConfig::Rope(double default_theta) {
  RopeSpec rope;
  rope.theta = NumberOr({"rope_theta"}, default_theta);
  if (const Json* scaling = Raw("rope_scaling")) RopeFromObject(*scaling, "rope_scaling", rope);
  if (const Json* newer = Raw("rope_parameters")) RopeFromObject(*newer, "rope_parameters", rope);
  return rope;
}

// A model saved with another head than the language model's would silently lose it.
void HfConfig::CheckArchitectures() {
  const Json* list = Raw("architectures");
  if (list == nullptr || !list->is_array()) return;
  for (const Json& item : *list) {
    if (!item.is_string()) continue;
    const auto& name = item.get_ref<const std::string&>();
    for (const std::string_view head : {"ForSequenceClassification", "ForTokenClassification",
                                        "ForQuestionAnswering", "ForMultipleChoice"}) {
      if (name.ends_with(head))
        Refuse(ErrorCode::kUnsupported, "architectures", *list,
               fmt::format("heads of the kind {} are not computed", head.substr(3)));
    }
  }
}

void HfConfig::CheckOtherKeys() {
  for (const FunctionKey& row : kFunctionKeys) {
    if (read_.find(row.key) != read_.end()) continue;
    const Json* value = Raw(row.key);
    if (value != nullptr && !IsNeutral(row, *value))
      Refuse(ErrorCode::kUnsupported, row.key, *value,
             "it changes what the model computes and is not supported for this family");
  }
  if (read_.find("layer_types") != read_.end()) return;
  const Json* types = Raw("layer_types");
  if (types == nullptr) return;
  const bool all_full =
      types->is_array() && std::all_of(types->begin(), types->end(),
                                       [](const Json& t) { return t == "full_attention"; });
  if (!all_full)
    Refuse(ErrorCode::kUnsupported, "layer_types", *types,
           "only \"full_attention\" is supported for this family");
}

Result<ModelSpec> HfConfig::Finish(ModelSpec spec) {
  if (!error_) CheckArchitectures();
  if (!error_) CheckOtherKeys();
  if (error_) return *error_;
  return spec;
}

std::string_view HfActivationName(Activation activation) {
  for (const ActivationName& row : kActivations) {
    if (row.activation == activation) return row.name;
  }
  return "";
}

Json HfRopeScaling(const RopeSpec& rope) {
  if (rope.scaling == RopeScaling::kLinear)
    return Json{{"factor", rope.factor}, {"rope_type", "linear"}};
  if (rope.scaling == RopeScaling::kLlama3)
    return Json{{"factor", rope.factor},
                {"high_freq_factor", rope.high_freq_factor},
                {"low_freq_factor", rope.low_freq_factor},
                {"original_max_position_embeddings", rope.original_positions},
                {"rope_type", "llama3"}};
  return nullptr;
}

}  // namespace metier::model
