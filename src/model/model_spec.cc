#include "model/model_spec.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

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

  void Layer(std::int64_t n) {
    const std::string layer = fmt::format("layers.{}.", n);
    const std::int64_t experts = spec_.experts_of(n);
    const bool before = spec_.norm_place == NormPlace::kBefore;
    const auto router = [&](RouterInput input) {
      if (experts > 0 && spec_.moe.router_input == input)
        Add(layer + "router.weight", {experts, spec_.width});
    };
    router(RouterInput::kBlockInput);
    if (before) Norm(layer + "attn_norm");
    Attention(layer);
    Norm(layer + (before ? "ffn_norm" : "attn_norm"));
    router(RouterInput::kFfnNorm);
    if (experts == 0 || spec_.moe.residual) FeedForward(layer + "ffn");
    if (experts > 0 && spec_.moe.residual) Linear(layer + "mix", 2, spec_.width, true);
    for (std::int64_t e = 0; e < experts; ++e) FeedForward(fmt::format("{}experts.{}", layer, e));
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
    const MoeSpec& moe = spec_.moe;
    METIER_TRY(InRange("experts", moe.experts, 0, limits_.max_experts));
    if (moe.experts == 0) {
      const bool nothing = moe.of_layer.empty() && !moe.residual && moe.tasks.empty() &&
                           moe.chooser == ExpertChooser::kToken && moe.capacity == 0;
      return nothing ? Ok() : Invalid("0 experts, and what they are to do");
    }
    METIER_TRY(ExpertsOfLayers());
    for (std::int64_t n = 0; n < spec_.layers; ++n) {
      const std::int64_t experts = spec_.experts_of(n);
      if (experts > 0 && (moe.top_k < 1 || moe.top_k > experts))
        return Invalid(
            fmt::format("{} of {} experts per token in layer {}", moe.top_k, experts, n));
    }
    return Choosing();
  }

  // Said in one way only: specs are compared.
  Status ExpertsOfLayers() const {
    const std::vector<std::int64_t>& of_layer = spec_.moe.of_layer;
    if (of_layer.empty()) return Ok();
    if (of_layer.size() != static_cast<std::size_t>(spec_.layers))
      return Invalid(
          fmt::format("experts of {} layers, the model has {}", of_layer.size(), spec_.layers));
    const auto [least, most] = std::minmax_element(of_layer.begin(), of_layer.end());
    if (*least >= 0 && *least < *most && *most == spec_.moe.experts) return Ok();
    return Invalid(fmt::format("{} to {} experts a layer; they differ, up to {}, expected", *least,
                               *most, spec_.moe.experts));
  }

  Status Choosing() const {
    const MoeSpec& moe = spec_.moe;
    const bool by_task = moe.chooser == ExpertChooser::kTask;
    const bool by_expert = moe.chooser == ExpertChooser::kExpert;
    if (by_task == moe.tasks.empty())
      return Invalid(by_task ? "experts by task, and no task" : "tasks, and experts by token");
    if (by_expert != (moe.capacity != 0))
      return Invalid(fmt::format("experts choose with a capacity, found {}", moe.capacity));
    if ((by_task || by_expert) && moe.router_input != RouterInput::kFfnNorm)
      return Invalid("only a choice by token can be made before attention");
    if (by_task) return Tasks();
    return by_expert ? ChoiceOfExperts() : Ok();
  }

  Status Tasks() const {
    METIER_TRY(InRange("tasks", static_cast<std::int64_t>(spec_.moe.tasks.size()), 1,
                       limits_.max_experts));
    std::vector<std::string> names = spec_.moe.tasks;
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end()) return Invalid(fmt::format("two tasks '{}'", *twice));
    if (names.front().empty()) return Invalid("a task without a name");
    // Scores of experts that a task does not use must not matter: they can be left out then.
    if (spec_.moe.score == RouterScore::kTopKThenSoftmax) return Ok();
    return Invalid("experts by task, whose weights are a softmax over the chosen ones only");
  }

  Status ChoiceOfExperts() const {
    METIER_TRY(Positive("the experts' capacity", spec_.moe.capacity));
    if (spec_.causal) {
      return Invalid(
          "experts that choose their tokens in a causal model: whether a token is chosen hangs on "
          "those that come after it, which are not there when text is generated; use them in an "
          "encoder, or let tokens choose");
    }
    const bool softmax = spec_.moe.score == RouterScore::kSoftmaxThenTopK;
    if (spec_.moe.top_k == 1 && softmax && !spec_.moe.normalise_top_k) return Ok();
    return Invalid("experts that choose weigh a token by softmax over all of them, found another");
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
  if (!spec.moe.tasks.empty())
    list.Add("embed.tasks", {static_cast<std::int64_t>(spec.moe.tasks.size()), spec.width});
  if (spec.embed_norm) list.Norm("embed.norm");
  for (std::int64_t n = 0; n < spec.layers; ++n) list.Layer(n);
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

Status CheckRunsWithoutTask(const ModelSpec& spec) {
  if (spec.moe.tasks.size() <= 1) return Ok();
  return Error(ErrorCode::kUnsupported,
               fmt::format("the model has experts for {} tasks, and a text does not say which is "
                           "its own; take one out (metier convert MODEL --task NAME --out DIR): {}",
                           spec.moe.tasks.size(), fmt::join(spec.moe.tasks, ", ")));
}

std::int64_t TokensOfExpert(const MoeSpec& moe, std::int64_t experts, std::int64_t tokens) {
  const double share = moe.capacity * static_cast<double>(tokens) / static_cast<double>(experts);
  return std::min(tokens, static_cast<std::int64_t>(std::ceil(std::min(share, 0x1p52))));
}

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
