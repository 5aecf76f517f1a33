#include "model/families/gguf_config.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <numbers>

#include "base/limits.h"
#include "format/decode.h"

namespace metier::model {
namespace {

constexpr std::int64_t kMaxSize = std::int64_t{1} << 32;

// Keys that change what a network computes. Where the architecture at hand does not read them they
// must be absent, 0, false, or `neutral`.
struct FunctionKey {
  std::string_view key;
  double neutral = 0;
};
constexpr FunctionKey kFunctionKeys[] = {
    {"attention.clamp_kqv"},
    {"attention.scale"},
    {"attention.sliding_window"},
    {"attention.kv_lora_rank"},
    {"attention.q_lora_rank"},
    {"attn_logit_softcapping"},
    {"embedding_scale", 1},
    {"expert_count"},
    {"expert_group_count"},
    {"expert_shared_count"},
    {"expert_shared_feed_forward_length"},
    {"expert_weights_scale", 1},
    {"final_logit_softcapping"},
    {"leading_dense_block_count"},
    {"logit_scale", 1},
    {"residual_scale", 1},
    {"rope.scaling.attn_factor", 1},
    {"use_parallel_residual"},
};

bool IsNeutral(const format::GgufValue& value, double neutral) {
  double number = 0;
  if (const auto* u = std::get_if<std::uint64_t>(&value)) {
    number = static_cast<double>(*u);
  } else if (const auto* i = std::get_if<std::int64_t>(&value)) {
    number = static_cast<double>(*i);
  } else if (const auto* d = std::get_if<double>(&value)) {
    number = *d;
  } else if (const auto* b = std::get_if<bool>(&value)) {
    number = *b ? 1 : 0;
  } else {
    return false;
  }
  return number == 0 || number == neutral;
}

double ShortestDecimal(double value) {
  const auto narrow = static_cast<float>(value);
  if (static_cast<double>(narrow) != value) return value;
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), narrow);
  double decimal = value;
  std::from_chars(text.data(), end.ptr, decimal);
  return decimal;
}

// The original length that makes Llama 3's formula give these factors; 0 when none does. A blended
// factor determines it; without one every length between the last kept wave and the first stretched
// one does, and the smallest power of two is taken.
std::int64_t Llama3Original(const RopeSpec& rope, std::int64_t head_dim) {
  double longest_kept = 0;
  for (std::size_t i = 0; i < rope.factors.size(); ++i) {
    const auto f = static_cast<double>(rope.factors[i]);
    const double wave =
        2 * std::numbers::pi *
        std::pow(rope.theta, 2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    if (f <= 1) longest_kept = wave;
    if (f <= 1 || f >= rope.factor) continue;
    const double kept = (1 / f - 1 / rope.factor) / (1 - 1 / rope.factor);
    const double length =
        wave * (rope.low_freq_factor + kept * (rope.high_freq_factor - rope.low_freq_factor));
    return length < static_cast<double>(kMaxSize) ? std::llround(length) : 0;
  }
  std::int64_t power = 1;
  while (power < kMaxSize && static_cast<double>(power) <= rope.high_freq_factor * longest_kept)
    power *= 2;
  return power;
}

}  // namespace

GgufConfig::GgufConfig(const format::GgufFile& file) : file_(file) {
  auto name = file.Text("general.architecture");
  if (name.ok()) {
    architecture_ = std::move(*name);
  } else {
    error_ = std::move(name).error();
  }
}

template <class T>
T GgufConfig::Keep(Result<T> result, T otherwise) {
  if (result.ok()) return std::move(*result);
  if (!error_) error_ = std::move(result).error();
  return otherwise;
}

bool GgufConfig::Has(std::string_view key) const { return file_.Metadata(Full(key)) != nullptr; }

void GgufConfig::Refuse(ErrorCode code, std::string_view key, std::string_view why) {
  if (!error_) error_ = Error(code, fmt::format("metadata '{}': {}", Full(key), why));
}

std::int64_t GgufConfig::Size(std::string_view key) {
  read_.emplace(key);
  const std::int64_t value = Keep(file_.Int(Full(key)), std::int64_t{1});
  if (value >= 1 && value <= kMaxSize) return value;
  Refuse(ErrorCode::kDataCorrupt, key, fmt::format("{}, from 1 to 2^32 expected", value));
  return 1;
}

std::int64_t GgufConfig::SizeOr(std::string_view key, std::int64_t fallback) {
  read_.emplace(key);
  return Has(key) ? Size(key) : fallback;
}

std::int64_t GgufConfig::Layers() {
  const std::int64_t layers = Size("block_count");
  const auto limit = static_cast<std::int64_t>(Limits().max_layers);
  if (layers <= limit) return layers;
  Refuse(ErrorCode::kResourceExhausted, "block_count", fmt::format("{}, limit {}", layers, limit));
  return 1;
}

std::int64_t GgufConfig::Vocab() {
  const tensor::TensorView* embedding = file_.Find("token_embd.weight");
  if (Has("vocab_size")) return Size("vocab_size");
  if (embedding != nullptr && embedding->shape.size() == 2) return embedding->shape[0];
  Refuse(ErrorCode::kDataCorrupt, "vocab_size",
         "missing, and so is the tensor token_embd.weight (is this a vocabulary without a model?)");
  return 1;
}

double GgufConfig::Number(std::string_view key) {
  read_.emplace(key);
  return ShortestDecimal(Keep(file_.Float(Full(key)), 1.0));
}

double GgufConfig::NumberOr(std::string_view key, double fallback) {
  read_.emplace(key);
  return Has(key) ? Number(key) : fallback;
}

RopeSpec GgufConfig::Rope(std::int64_t head_dim, double default_theta) {
  RopeSpec rope;
  rope.theta = NumberOr("rope.freq_base", default_theta);
  if (SizeOr("rope.dimension_count", head_dim) != head_dim)
    Refuse(ErrorCode::kUnsupported, "rope.dimension_count",
           fmt::format("rotation of a part of the {} dimensions of a head", head_dim));
  const std::string type = Keep(file_.TextOr(Full("rope.scaling.type"), "none"), std::string());
  // Before scaling had types, a factor alone meant linear.
  const double old_factor = NumberOr("rope.scale_linear", 1);
  if (type == "linear" || (type == "none" && old_factor != 1)) {
    rope.scaling = RopeScaling::kLinear;
    rope.factor = type == "linear" ? Number("rope.scaling.factor") : old_factor;
  } else if (type != "none") {
    Refuse(ErrorCode::kUnsupported, "rope.scaling.type",
           fmt::format("'{}'; none, linear and Llama 3's factors are supported", type));
  }
  if (HasTensor("rope_freqs.weight")) ReadRopeFactors(head_dim, rope);
  return rope;
}

void GgufConfig::ReadRopeFactors(std::int64_t head_dim, RopeSpec& rope) {
  if (rope.scaling != RopeScaling::kNone)
    return Refuse(ErrorCode::kUnsupported, "rope.scaling.type",
                  "both a scaling type and the tensor rope_freqs.weight");
  auto decoded = format::DecodeTensor(*file_.Find("rope_freqs.weight"));
  if (!decoded.ok()) {
    if (!error_) error_ = std::move(decoded).error().With("tensor 'rope_freqs.weight'");
    return;
  }
  const auto factors = decoded->f32();
  if (static_cast<std::int64_t>(factors.size()) != head_dim / 2)
    return Refuse(
        ErrorCode::kDataCorrupt, "rope.dimension_count",
        fmt::format("rope_freqs.weight has {} factors for {} pairs", factors.size(), head_dim / 2));
  rope.scaling = RopeScaling::kFactors;
  rope.factors.assign(factors.begin(), factors.end());

  ModelSpec guess;
  guess.head_dim = head_dim;
  guess.rope = rope;
  guess.rope.scaling = RopeScaling::kLlama3;
  for (const float factor : rope.factors)
    guess.rope.factor = std::max(guess.rope.factor, static_cast<double>(factor));
  guess.rope.original_positions = Llama3Original(guess.rope, head_dim);
  if (guess.rope.original_positions < 1) return;
  const std::vector<double> formula = RopeFactors(guess);
  for (std::size_t i = 0; i < formula.size(); ++i) {
    // Factors were rounded to float32, and some converters compute in it.
    if (std::fabs(formula[i] - static_cast<double>(rope.factors[i])) > 1e-5 * formula[i]) return;
  }
  guess.rope.factors.clear();
  rope = guess.rope;
}

void GgufConfig::CheckOtherKeys() {
  for (const FunctionKey& row : kFunctionKeys) {
    if (read_.find(row.key) != read_.end()) continue;
    const format::GgufValue* value = file_.Metadata(Full(row.key));
    if (value != nullptr && !IsNeutral(*value, row.neutral))
      Refuse(ErrorCode::kUnsupported, row.key,
             "it changes what the model computes and is not supported for this architecture");
  }
}

Result<ModelSpec> GgufConfig::Finish(ModelSpec spec) {
  if (!error_) CheckOtherKeys();
  if (error_) return *error_;
  return spec;
}

ModelSpec ReadGgufDimensions(GgufConfig& in) {
  ModelSpec spec;
  spec.vocab = in.Vocab();
  spec.width = in.Size("embedding_length");
  spec.layers = in.Layers();
  spec.layer.resize(static_cast<std::size_t>(spec.layers));
  spec.heads = in.Size("attention.head_count");
  spec.kv_heads = in.SizeOr("attention.head_count_kv", spec.heads);
  spec.head_dim =
      in.SizeOr("attention.key_length", std::max<std::int64_t>(1, spec.width / spec.heads));
  if (in.SizeOr("attention.value_length", spec.head_dim) != spec.head_dim)
    in.Refuse(ErrorCode::kUnsupported, "attention.value_length",
              "values of another length than keys");
  spec.hidden = in.Size("feed_forward_length");
  spec.max_positions = in.Size("context_length");
  spec.tied_head = !in.HasTensor("output.weight");
  return spec;
}

void ReadGgufBiases(const GgufConfig& in, ModelSpec& spec) {
  spec.qkv_bias = in.HasTensor("blk.0.attn_q.bias");
  spec.o_bias = in.HasTensor("blk.0.attn_output.bias");
  spec.ffn_bias = in.HasTensor("blk.0.ffn_up.bias");
}

double AsFloat(double value) { return static_cast<double>(static_cast<float>(value)); }

GgufMetadata GgufDimensions(const ModelSpec& spec, const std::string& architecture) {
  const auto size = [](std::int64_t value) {
    return format::GgufValue(static_cast<std::uint64_t>(value));
  };
  const std::string a = architecture + ".";
  GgufMetadata metadata = {
      {"general.architecture", architecture},
      {a + "vocab_size", size(spec.vocab)},
      {a + "context_length", size(spec.max_positions)},
      {a + "embedding_length", size(spec.width)},
      {a + "block_count", size(spec.layers)},
      {a + "feed_forward_length", size(spec.hidden)},
      {a + "attention.head_count", size(spec.heads)},
      {a + "attention.head_count_kv", size(spec.kv_heads)},
  };
  if (spec.head_dim * spec.heads != spec.width) {
    metadata[a + "attention.key_length"] = size(spec.head_dim);
    metadata[a + "attention.value_length"] = size(spec.head_dim);
  }
  const char* epsilon = spec.norm.kind == NormKind::kRms ? "attention.layer_norm_rms_epsilon"
                                                         : "attention.layer_norm_epsilon";
  metadata[a + epsilon] = AsFloat(spec.norm.epsilon);
  return metadata;
}

void AddGgufRope(const ModelSpec& spec, const std::string& architecture, GgufMetadata& metadata) {
  metadata[architecture + ".rope.freq_base"] = AsFloat(spec.rope.theta);
  metadata[architecture + ".rope.dimension_count"] = static_cast<std::uint64_t>(spec.head_dim);
  if (spec.rope.scaling != RopeScaling::kLinear) return;
  metadata[architecture + ".rope.scaling.type"] = std::string("linear");
  metadata[architecture + ".rope.scaling.factor"] = AsFloat(spec.rope.factor);
}

Status RefuseGgufWindows(const ModelSpec& spec) {
  for (const LayerSpec& layer : spec.layer) {
    if (layer.sliding_window > 0)
      return Error(ErrorCode::kUnsupported,
                   fmt::format("GGUF has no sliding window for family {}; write a Hugging Face "
                               "directory instead",
                               spec.family));
  }
  return Ok();
}

}  // namespace metier::model
