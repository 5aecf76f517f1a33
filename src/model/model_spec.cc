#include "model/model_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"

namespace metier::model {
namespace {

// Appends parameters of one spec under a prefix.
class Lister {
 public:
  Lister(const ModelSpec& spec, std::vector<Parameter>& out) : spec_(spec), out_(out) {}

  void Add(std::string name, tensor::Shape shape) {
    out_.push_back({std::move(name), std::move(shape)});
  }

  void Norm(const std::string& name) {
    Add(name + ".weight", {spec_.width});
    if (spec_.norm.bias) Add(name + ".bias", {spec_.width});
  }

  void Linear(const std::string& name, std::int64_t out, std::int64_t in, bool bias) {
    Add(name + ".weight", {out, in});
    if (bias) Add(name + ".bias", {out});
  }

  void Attention(const std::string& layer) {
    Linear(layer + "attn.q", spec_.q_width(), spec_.width, spec_.qkv_bias);
    Linear(layer + "attn.k", spec_.kv_width(), spec_.width, spec_.qkv_bias);
    Linear(layer + "attn.v", spec_.kv_width(), spec_.width, spec_.qkv_bias);
    if (spec_.qk_norm) {
      Add(layer + "attn.q_norm.weight", {spec_.head_dim});
      Add(layer + "attn.k_norm.weight", {spec_.head_dim});
    }
    Linear(layer + "attn.o", spec_.width, spec_.q_width(), spec_.o_bias);
  }

  void FeedForward(const std::string& name) {
    if (spec_.gated) Linear(name + ".gate", spec_.hidden, spec_.width, spec_.ffn_bias);
    Linear(name + ".up", spec_.hidden, spec_.width, spec_.ffn_bias);
    Linear(name + ".down", spec_.width, spec_.hidden, spec_.ffn_bias);
  }

  void Router(const std::string& layer) {
    Add(layer + "router.weight", {spec_.moe.experts, spec_.width});
  }

  void Layer(const std::string& layer) {
    const bool before = spec_.norm_place == NormPlace::kBefore;
    const bool moe = spec_.moe.experts > 0;
    if (moe && spec_.moe.router_input == RouterInput::kBlockInput) Router(layer);
    if (before) Norm(layer + "attn_norm");
    Attention(layer);
    Norm(layer + (before ? "ffn_norm" : "attn_norm"));
    if (moe && spec_.moe.router_input == RouterInput::kFfnNorm) Router(layer);
    if (!moe) FeedForward(layer + "ffn");
    for (std::int64_t e = 0; e < spec_.moe.experts; ++e)
      FeedForward(fmt::format("{}experts.{}", layer, e));
    if (!before) Norm(layer + "ffn_norm");
  }

 private:
  const ModelSpec& spec_;
  std::vector<Parameter>& out_;
};

class Checker {
 public:
  Checker(const ModelSpec& spec, const Limits& limits) : spec_(spec), limits_(limits) {}

  Status Run() {
    METIER_TRY(Dimensions());
    METIER_TRY(Attention());
    METIER_TRY(Numbers());
    METIER_TRY(Experts());
    return Sizes();
  }

 private:
  static Error Invalid(std::string message) {
    return Error(ErrorCode::kInvalidArgument, "model: " + std::move(message));
  }

  static Status InRange(std::string_view name, std::int64_t value, std::int64_t least,
                        std::uint64_t limit) {
    if (value < least)
      return Invalid(fmt::format("{} is {}, at least {} expected", name, value, least));
    if (static_cast<std::uint64_t>(value) > limit)
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("model: {} is {}, limit {}", name, value, limit));
    return Ok();
  }

  Status Dimensions() const {
    METIER_TRY(InRange("vocab", spec_.vocab, 1, limits_.max_vocab));
    METIER_TRY(InRange("layers", spec_.layers, 1, limits_.max_layers));
    METIER_TRY(InRange("width", spec_.width, 1, limits_.max_width));
    METIER_TRY(InRange("hidden", spec_.hidden, 1, limits_.max_width));
    METIER_TRY(InRange("heads", spec_.heads, 1, limits_.max_width));
    METIER_TRY(InRange("kv_heads", spec_.kv_heads, 1, limits_.max_width));
    METIER_TRY(InRange("head_dim", spec_.head_dim, 1, limits_.max_width));
    METIER_TRY(InRange("heads x head_dim", spec_.q_width(), 1, limits_.max_width));
    METIER_TRY(InRange("max_positions", spec_.max_positions, 1, 1ULL << 32));
    METIER_TRY(InRange("position_offset", spec_.position_offset, 0, 1ULL << 16));
    return InRange("types", spec_.types, 0, limits_.max_width);
  }

  Status Attention() const {
    if (spec_.heads % spec_.kv_heads != 0)
      return Invalid(fmt::format("{} heads cannot share {} key-value heads evenly", spec_.heads,
                                 spec_.kv_heads));
    if (spec_.position == PositionKind::kRope && spec_.head_dim % 2 != 0)
      return Invalid(
          fmt::format("head_dim {} is odd; rotary positions turn pairs", spec_.head_dim));
    if (spec_.layer.size() != static_cast<std::size_t>(spec_.layers))
      return Invalid(
          fmt::format("{} layer descriptions for {} layers", spec_.layer.size(), spec_.layers));
    for (const LayerSpec& layer : spec_.layer)
      METIER_TRY(InRange("sliding_window", layer.sliding_window, 0, 1ULL << 32));
    return Ok();
  }

  Status Numbers() const {
    METIER_TRY(Positive("norm epsilon", spec_.norm.epsilon));
    METIER_TRY(Positive("embed_scale", spec_.embed_scale));
    if (spec_.attention_scale != 0) METIER_TRY(Positive("attention_scale", spec_.attention_scale));
    const RopeSpec& rope = spec_.rope;
    METIER_TRY(Positive("rope theta", rope.theta));
    METIER_TRY(Positive("rope factor", rope.factor));
    if (rope.scaling == RopeScaling::kLlama3) {
      METIER_TRY(Positive("rope low_freq_factor", rope.low_freq_factor));
      if (!(rope.high_freq_factor > rope.low_freq_factor) || !std::isfinite(rope.high_freq_factor))
        return Invalid(fmt::format("rope high_freq_factor {} is not above low_freq_factor {}",
                                   rope.high_freq_factor, rope.low_freq_factor));
      METIER_TRY(InRange("rope original positions", rope.original_positions, 1, 1ULL << 32));
    }
    if (rope.scaling != RopeScaling::kFactors) return Ok();
    if (rope.factors.size() != static_cast<std::size_t>(spec_.head_dim / 2))
      return Invalid(
          fmt::format("{} rope factors for {} pairs", rope.factors.size(), spec_.head_dim / 2));
    for (const float factor : rope.factors)
      METIER_TRY(Positive("rope factor", static_cast<double>(factor)));
    return Ok();
  }

  static Status Positive(std::string_view name, double value) {
    if (std::isfinite(value) && value > 0) return Ok();
    return Invalid(fmt::format("{} is {}, a positive number expected", name, value));
  }

  Status Experts() const {
    METIER_TRY(InRange("experts", spec_.moe.experts, 0, limits_.max_experts));
    if (spec_.moe.experts == 0) return Ok();
    if (spec_.moe.top_k < 1 || spec_.moe.top_k > spec_.moe.experts)
      return Invalid(fmt::format("{} of {} experts per token", spec_.moe.top_k, spec_.moe.experts));
    return Ok();
  }

  // The list of parameters, and the elements of each, stay within the limits of a file.
  Status Sizes() const {
    constexpr std::uint64_t kPerLayer = 24;  // above what any block has beside its experts
    const std::uint64_t tensors = static_cast<std::uint64_t>(spec_.layers) *
                                  (kPerLayer + 6 * static_cast<std::uint64_t>(spec_.moe.experts));
    if (tensors > limits_.max_tensors)
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("model: {} layers with {} experts are about {} tensors, limit {}",
                               spec_.layers, spec_.moe.experts, tensors, limits_.max_tensors));
    const std::int64_t rows = std::max(
        {spec_.vocab, spec_.max_positions + spec_.position_offset, spec_.hidden, spec_.q_width()});
    const auto largest =
        CheckedMul(static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(spec_.width));
    if (!largest || *largest > limits_.max_tensor_elements)
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("model: a tensor of {} x {} elements, limit {}", rows, spec_.width,
                               limits_.max_tensor_elements));
    return Ok();
  }

  const ModelSpec& spec_;
  const Limits& limits_;
};

// Llama 3.1's scaling: wavelengths up to original / high stay, those from original / low on are
// stretched by the factor, and between them the speed goes over linearly in original / wavelength.
double Llama3Factor(const RopeSpec& rope, double speed) {
  const double wavelength = 2 * std::numbers::pi / speed;
  const auto original = static_cast<double>(rope.original_positions);
  if (wavelength < original / rope.high_freq_factor) return 1;
  if (wavelength > original / rope.low_freq_factor) return rope.factor;
  const double kept = (original / wavelength - rope.low_freq_factor) /
                      (rope.high_freq_factor - rope.low_freq_factor);
  return 1 / ((1 - kept) / rope.factor + kept);
}

double BaseSpeed(const ModelSpec& spec, std::int64_t pair) {
  const auto dims = static_cast<double>(spec.head_dim);
  return std::pow(spec.rope.theta, -2.0 * static_cast<double>(pair) / dims);
}

}  // namespace

double ModelSpec::score_scale() const {
  return attention_scale != 0 ? attention_scale : 1 / std::sqrt(static_cast<double>(head_dim));
}

std::vector<Parameter> Parameters(const ModelSpec& spec) {
  std::vector<Parameter> out;
  Lister list(spec, out);
  list.Add("embed.tokens", {spec.vocab, spec.width});
  if (spec.position == PositionKind::kLearned)
    list.Add("embed.positions", {spec.max_positions + spec.position_offset, spec.width});
  if (spec.types > 0) list.Add("embed.types", {spec.types, spec.width});
  if (spec.embed_norm) list.Norm("embed.norm");
  for (std::int64_t n = 0; n < spec.layers; ++n) list.Layer(fmt::format("layers.{}.", n));
  if (spec.final_norm) list.Norm("final_norm");
  if (spec.head && !spec.tied_head) list.Add("head.weight", {spec.vocab, spec.width});
  return out;
}

std::int64_t ParameterCount(const ModelSpec& spec) {
  std::int64_t count = 0;
  for (const Parameter& parameter : Parameters(spec))
    count += tensor::ElementCount(parameter.shape);
  return count;
}

Status Validate(const ModelSpec& spec, const Limits& limits) { return Checker(spec, limits).Run(); }

std::vector<float> AlibiSlopes(std::int64_t heads) {
  METIER_CHECK(heads > 0, "slopes of no heads");
  std::int64_t power = 1;
  while (power * 2 <= heads) power *= 2;
  std::vector<float> slopes;
  // The first `power` heads: 2^(-8 i / power). The rest take the odd members of the next finer
  // series.
  for (std::int64_t i = 0; i < heads; ++i) {
    const double exponent =
        i < power ? 8.0 * static_cast<double>(i + 1) / static_cast<double>(power)
                  : 4.0 * static_cast<double>(2 * (i - power) + 1) / static_cast<double>(power);
    slopes.push_back(static_cast<float>(std::exp2(-exponent)));
  }
  return slopes;
}

std::vector<double> RopeFactors(const ModelSpec& spec) {
  std::vector<double> factors;
  for (std::int64_t pair = 0; pair < spec.head_dim / 2; ++pair) {
    switch (spec.rope.scaling) {
      case RopeScaling::kNone: factors.push_back(1); break;
      case RopeScaling::kLinear: factors.push_back(spec.rope.factor); break;
      case RopeScaling::kLlama3:
        factors.push_back(Llama3Factor(spec.rope, BaseSpeed(spec, pair)));
        break;
      case RopeScaling::kFactors:
        factors.push_back(static_cast<double>(spec.rope.factors[static_cast<std::size_t>(pair)]));
        break;
    }
  }
  return factors;
}

std::vector<float> RopeFrequencies(const ModelSpec& spec) {
  std::vector<float> speeds;
  std::int64_t pair = 0;
  for (const double factor : RopeFactors(spec))
    speeds.push_back(static_cast<float>(BaseSpeed(spec, pair++) / factor));
  return speeds;
}

}  // namespace metier::model
