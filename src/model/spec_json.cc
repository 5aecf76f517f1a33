#include "model/spec_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace metier::model {
namespace {

// In the order of the enums.
constexpr std::array<std::string_view, 2> kNormKinds = {"rms", "layer"};
constexpr std::array<std::string_view, 2> kNormPlaces = {"before", "after"};
constexpr std::array<std::string_view, 3> kPositions = {"rope", "learned", "alibi"};
constexpr std::array<std::string_view, 4> kActivations = {"silu", "gelu_erf", "gelu_tanh", "relu"};
constexpr std::array<std::string_view, 4> kScalings = {"none", "linear", "llama3", "factors"};
constexpr std::array<std::string_view, 4> kPoolings = {"none", "mean", "cls", "last"};
constexpr std::array<std::string_view, 2> kRouterInputs = {"ffn_norm", "block_input"};
constexpr std::array<std::string_view, 3> kChoosers = {"token", "task", "expert"};
constexpr std::array<std::string_view, 3> kRouterScores = {"softmax_then_top_k",
                                                           "top_k_then_softmax", "sigmoid"};

// Fields that files written before there were any lack.
constexpr std::array<std::string_view, 5> kLater = {"experts_of_layer", "residual_experts",
                                                    "expert_chooser", "tasks", "expert_capacity"};

// The one list of fields, walked by the writer and the reader.
template <class Spec, class Visitor>
void Walk(Spec& spec, Visitor&& field) {
  field("family", spec.family);
  field("vocab", spec.vocab);
  field("width", spec.width);
  field("layers", spec.layers);
  field("heads", spec.heads);
  field("kv_heads", spec.kv_heads);
  field("head_dim", spec.head_dim);
  field("hidden", spec.hidden);
  field("max_positions", spec.max_positions);
  field("causal", spec.causal);
  field("embed_scale", spec.embed_scale);
  field("embed_norm", spec.embed_norm);
  field("types", spec.types);
  field("final_norm", spec.final_norm);
  field("head", spec.head);
  field("tied_head", spec.tied_head);
  field("position", spec.position, kPositions);
  field("position_offset", spec.position_offset);
  field("rope_theta", spec.rope.theta);
  field("rope_scaling", spec.rope.scaling, kScalings);
  field("rope_factor", spec.rope.factor);
  field("rope_low_freq_factor", spec.rope.low_freq_factor);
  field("rope_high_freq_factor", spec.rope.high_freq_factor);
  field("rope_original_positions", spec.rope.original_positions);
  field("rope_factors", spec.rope.factors);
  field("norm_kind", spec.norm.kind, kNormKinds);
  field("norm_epsilon", spec.norm.epsilon);
  field("norm_bias", spec.norm.bias);
  field("norm_plus_one", spec.norm.plus_one);
  field("norm_place", spec.norm_place, kNormPlaces);
  field("qk_norm", spec.qk_norm);
  field("qkv_bias", spec.qkv_bias);
  field("o_bias", spec.o_bias);
  field("attention_scale", spec.attention_scale);
  field("activation", spec.activation, kActivations);
  field("gated", spec.gated);
  field("ffn_bias", spec.ffn_bias);
  field("experts", spec.moe.experts);
  field("experts_of_layer", spec.moe.of_layer);
  field("top_k", spec.moe.top_k);
  field("router_input", spec.moe.router_input, kRouterInputs);
  field("router_score", spec.moe.score, kRouterScores);
  field("normalise_top_k", spec.moe.normalise_top_k);
  field("residual_experts", spec.moe.residual);
  field("expert_chooser", spec.moe.chooser, kChoosers);
  field("tasks", spec.moe.tasks);
  field("expert_capacity", spec.moe.capacity);
  field("layer", spec.layer);
  field("pooling", spec.pooling, kPoolings);
  field("normalise_pooled", spec.normalise_pooled);
}

struct Writer {
  Json& document;

  template <class T>
  void operator()(const char* key, const T& value) const {
    document[key] = value;
  }
  void operator()(const char* key, const std::vector<LayerSpec>& layers) const {
    Json list = Json::array();
    for (const LayerSpec& layer : layers)
      list.push_back({{"rope", layer.rope}, {"sliding_window", layer.sliding_window}});
    document[key] = std::move(list);
  }
  template <class Enum, std::size_t kCount>
  void operator()(const char* key, Enum value,
                  const std::array<std::string_view, kCount>& names) const {
    document[key] = names[static_cast<std::size_t>(value)];
  }
};

// Keeps the first error: what follows it is not read.
class Reader {
 public:
  explicit Reader(const Json& document) : document_(document) {}

  template <class T>
  void operator()(const char* key, T& value) {
    if (const Json* found = Find(key); found != nullptr && !Read(*found, value)) Refuse(key);
  }
  template <class Enum, std::size_t kCount>
  void operator()(const char* key, Enum& value, const std::array<std::string_view, kCount>& names) {
    const Json* found = Find(key);
    if (found == nullptr) return;
    for (std::size_t i = 0; i < kCount; ++i) {
      if (!found->is_string() || found->get_ref<const std::string&>() != names[i]) continue;
      value = static_cast<Enum>(i);
      return;
    }
    Refuse(key);
  }

  Status Finish() {
    for (const auto& [key, value] : document_.items()) {
      if (known_.count(key) == 0 && !error_)
        error_ = Error(ErrorCode::kDataCorrupt, fmt::format("model: unknown field \"{}\"", key));
    }
    if (error_) return *std::move(error_);
    return Ok();
  }

 private:
  const Json* Find(const char* key) {
    known_.insert(key);
    if (error_) return nullptr;
    if (const auto found = document_.find(key); found != document_.end()) return &*found;
    if (std::find(kLater.begin(), kLater.end(), key) != kLater.end()) return nullptr;
    error_ = Error(ErrorCode::kDataCorrupt, fmt::format("model: no field \"{}\"", key));
    return nullptr;
  }
  void Refuse(const char* key) {
    error_ = Error(ErrorCode::kDataCorrupt,
                   fmt::format("model: \"{}\" cannot be {}", key, DumpCompact(document_[key])));
  }

  static bool Read(const Json& from, std::string& to) {
    if (from.is_string()) to = from.get<std::string>();
    return from.is_string();
  }
  static bool Read(const Json& from, bool& to) {
    if (from.is_boolean()) to = from.get<bool>();
    return from.is_boolean();
  }
  static bool Read(const Json& from, std::int64_t& to) {
    if (from.is_number_integer()) to = from.get<std::int64_t>();
    return from.is_number_integer();
  }
  static bool Read(const Json& from, double& to) {
    if (from.is_number()) to = from.get<double>();
    return from.is_number();
  }
  static bool Read(const Json& from, float& to) {
    double wide = 0;
    if (!Read(from, wide)) return false;
    to = static_cast<float>(wide);
    return static_cast<double>(to) == wide;
  }
  static bool Read(const Json& from, LayerSpec& to) {
    if (!from.is_object() || from.size() != 2) return false;
    const auto rope = from.find("rope");
    const auto window = from.find("sliding_window");
    return rope != from.end() && window != from.end() && Read(*rope, to.rope) &&
           Read(*window, to.sliding_window);
  }
  template <class T>
  static bool Read(const Json& from, std::vector<T>& to) {
    if (!from.is_array()) return false;
    for (const Json& item : from) {
      if (!Read(item, to.emplace_back())) return false;
    }
    return true;
  }

  const Json& document_;
  std::set<std::string, std::less<>> known_;
  std::optional<Error> error_;
};

}  // namespace

Json SpecToJson(const ModelSpec& spec) {
  Json document = Json::object();
  Walk(spec, Writer{document});
  return document;
}

Result<ModelSpec> SpecFromJson(const Json& document) {
  if (!document.is_object())
    return Error(ErrorCode::kDataCorrupt, "model: an object of fields is expected");
  ModelSpec spec;
  Reader reader(document);
  Walk(spec, reader);
  METIER_TRY(reader.Finish());
  return spec;
}

}  // namespace metier::model
