#include "support/reference_model.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

namespace metier::test {

using model::ModelSpec;

namespace {

using Values = std::vector<double>;
using Index = std::int64_t;

std::size_t U(Index i) { return static_cast<std::size_t>(i); }

class Reference {
 public:
  Reference(const ModelSpec& spec, const ReferenceParameters& parameters)
      : spec_(spec), parameters_(parameters) {}

  ReferenceResult Run(const std::vector<std::int32_t>& tokens,
                      const std::vector<std::int32_t>& types) {
    tokens_ = static_cast<Index>(tokens.size());
    ReferenceResult result;
    Values x = Embed(tokens, types);
    result.states.push_back(x);
    for (Index n = 0; n < spec_.layers; ++n) {
      x = Layer(n, x);
      result.states.push_back(x);
    }
    if (spec_.final_norm) x = Norm("final_norm", x);
    if (spec_.head)
      x = Multiply(spec_.tied_head ? "embed.tokens" : "head.weight", "", x, spec_.width,
                   spec_.vocab);
    result.output = std::move(x);
    return result;
  }

 private:
  Values Parameter(const std::string& name) const {
    const std::vector<float> values = parameters_(name);
    return {values.begin(), values.end()};
  }

  Values Embed(const std::vector<std::int32_t>& tokens, const std::vector<std::int32_t>& types) {
    const Values table = Parameter("embed.tokens");
    const bool learned = spec_.position == model::PositionKind::kLearned;
    const Values positions = learned ? Parameter("embed.positions") : Values{};
    const Values type_table = spec_.types > 0 ? Parameter("embed.types") : Values{};
    Values x(U(tokens_ * spec_.width));
    for (Index t = 0; t < tokens_; ++t) {
      const Index type = types.empty() ? 0 : types[U(t)];
      for (Index d = 0; d < spec_.width; ++d) {
        double value = table[U(tokens[U(t)] * spec_.width + d)] * spec_.embed_scale;
        if (learned) value += positions[U((t + spec_.position_offset) * spec_.width + d)];
        if (spec_.types > 0) value += type_table[U(type * spec_.width + d)];
        x[U(t * spec_.width + d)] = value;
      }
    }
    return spec_.embed_norm ? Norm("embed.norm", x) : x;
  }

  Values Layer(Index n, const Values& input) {
    const std::string prefix = "layers." + std::to_string(n) + ".";
    const bool before = spec_.norm_place == model::NormPlace::kBefore;
    Values x = input;
    Values attended = Attention(n, prefix, before ? Norm(prefix + "attn_norm", x) : x);
    Add(x, attended);
    if (!before) x = Norm(prefix + "attn_norm", x);
    const Values normed = before ? Norm(prefix + "ffn_norm", x) : x;
    if (spec_.experts_of(n) == 0) {
      Add(x, FeedForward(prefix + "ffn.", normed, spec_.ffn_bias));
    } else {
      const bool early = spec_.moe.router_input == model::RouterInput::kBlockInput;
      Values sum = Experts(n, prefix, early ? input : normed, normed);
      if (spec_.moe.residual) Mix(prefix, normed, sum);
      Add(x, sum);
    }
    if (!before) x = Norm(prefix + "ffn_norm", x);
    return x;
  }

  Values Attention(Index n, const std::string& prefix, const Values& x) {
    const auto project = [&](const char* name, Index heads) {
      return Multiply(prefix + "attn." + name + ".weight",
                      spec_.qkv_bias ? prefix + "attn." + name + ".bias" : "", x, spec_.width,
                      heads * spec_.head_dim);
    };
    Values q = project("q", spec_.heads);
    Values k = project("k", spec_.kv_heads);
    const Values v = project("v", spec_.kv_heads);
    if (spec_.qk_norm) {
      q = Scaled(q, Parameter(prefix + "attn.q_norm.weight"));
      k = Scaled(k, Parameter(prefix + "attn.k_norm.weight"));
    }
    if (spec_.position == model::PositionKind::kRope && spec_.layer[U(n)].rope) {
      Rotate(q, spec_.heads);
      Rotate(k, spec_.kv_heads);
    }
    Values out(U(tokens_ * spec_.heads * spec_.head_dim));
    for (Index head = 0; head < spec_.heads; ++head) {
      for (Index t = 0; t < tokens_; ++t) AttendOne(n, head, t, q, k, v, out);
    }
    return Multiply(prefix + "attn.o.weight", spec_.o_bias ? prefix + "attn.o.bias" : "", out,
                    spec_.heads * spec_.head_dim, spec_.width);
  }

  void AttendOne(Index n, Index head, Index t, const Values& q, const Values& k, const Values& v,
                 Values& out) {
    const Index kv_head = head / (spec_.heads / spec_.kv_heads);
    const Index window = spec_.layer[U(n)].sliding_window;
    const Index last = spec_.causal ? t : tokens_ - 1;
    const Index first = window > 0 ? std::max<Index>(0, t - window + 1) : 0;
    const double scale = spec_.attention_scale != 0
                             ? spec_.attention_scale
                             : 1 / std::sqrt(static_cast<double>(spec_.head_dim));
    const bool alibi = spec_.position == model::PositionKind::kAlibi;
    Values weights;
    for (Index j = first; j <= last; ++j) {
      double score = 0;
      for (Index d = 0; d < spec_.head_dim; ++d) {
        score += q[U((t * spec_.heads + head) * spec_.head_dim + d)] *
                 k[U((j * spec_.kv_heads + kv_head) * spec_.head_dim + d)];
      }
      score *= scale;
      if (alibi) score += Slope(head) * static_cast<double>(j - t);
      weights.push_back(score);
    }
    SoftmaxOf(weights);
    for (Index j = first; j <= last; ++j) {
      for (Index d = 0; d < spec_.head_dim; ++d) {
        out[U((t * spec_.heads + head) * spec_.head_dim + d)] +=
            weights[U(j - first)] * v[U((j * spec_.kv_heads + kv_head) * spec_.head_dim + d)];
      }
    }
  }

  // Press et al. 2022: 2^(-8 i / n) for i = 1..n when n is a power of two; otherwise those of the
  // next lower power, then every other one of the next higher.
  double Slope(Index head) const {
    Index power = 1;
    while (power * 2 <= spec_.heads) power *= 2;
    const auto p = static_cast<double>(power);
    if (head < power) return std::pow(2.0, -8.0 * static_cast<double>(head + 1) / p);
    return std::pow(2.0, -4.0 * static_cast<double>(2 * (head - power) + 1) / p);
  }

  double Frequency(Index pair) const {
    const model::RopeSpec& rope = spec_.rope;
    const double frequency = std::pow(
        rope.theta, -2.0 * static_cast<double>(pair) / static_cast<double>(spec_.head_dim));
    if (rope.scaling == model::RopeScaling::kNone) return frequency;
    if (rope.scaling == model::RopeScaling::kLinear) return frequency / rope.factor;
    if (rope.scaling == model::RopeScaling::kFactors)
      return frequency / static_cast<double>(rope.factors[U(pair)]);
    // Llama 3.1: long waves are slowed by the factor, short ones kept, those between interpolated.
    const auto original = static_cast<double>(rope.original_positions);
    const double wave = 2 * M_PI / frequency;
    if (wave < original / rope.high_freq_factor) return frequency;
    if (wave > original / rope.low_freq_factor) return frequency / rope.factor;
    const double smooth =
        (original / wave - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
    return (1 - smooth) * frequency / rope.factor + smooth * frequency;
  }

  void Rotate(Values& heads, Index count) const {
    const Index half = spec_.head_dim / 2;
    for (Index t = 0; t < tokens_; ++t) {
      for (Index h = 0; h < count; ++h) {
        for (Index i = 0; i < half; ++i) {
          double& a = heads[U((t * count + h) * spec_.head_dim + i)];
          double& b = heads[U((t * count + h) * spec_.head_dim + i + half)];
          const double angle = static_cast<double>(t) * Frequency(i);
          const double turned = a * std::cos(angle) - b * std::sin(angle);
          b = b * std::cos(angle) + a * std::sin(angle);
          a = turned;
        }
      }
    }
  }

  double Act(double x) const {
    switch (spec_.activation) {
      case model::Activation::kSilu: return x / (1 + std::exp(-x));
      case model::Activation::kGeluErf: return x * (1 + std::erf(x / std::sqrt(2.0))) / 2;
      case model::Activation::kGeluTanh:
        return x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))) / 2;
      case model::Activation::kRelu: return std::max(x, 0.0);
    }
    throw std::logic_error("an activation without a formula");
  }

  Values FeedForward(const std::string& prefix, const Values& x, bool bias) const {
    const auto project = [&](const std::string& name, const Values& in, Index from, Index to) {
      return Multiply(prefix + name + ".weight", bias ? prefix + name + ".bias" : "", in, from, to);
    };
    Values up = project("up", x, spec_.width, spec_.hidden);
    if (spec_.gated) {
      const Values gate = project("gate", x, spec_.width, spec_.hidden);
      for (std::size_t i = 0; i < up.size(); ++i) up[i] *= Act(gate[i]);
    } else {
      for (double& value : up) value = Act(value);
    }
    return project("down", up, spec_.hidden, spec_.width);
  }

  Values Experts(Index n, const std::string& prefix, const Values& router_input, const Values& x) {
    const model::MoeSpec& moe = spec_.moe;
    const Index experts = spec_.experts_of(n);
    Values read = router_input;
    if (moe.chooser == model::ExpertChooser::kTask) {  // of a model with one task
      const Values task = Parameter("embed.tasks");
      for (std::size_t i = 0; i < read.size(); ++i) read[i] = task[i % U(spec_.width)];
    }
    const Values scores = Multiply(prefix + "router.weight", "", read, spec_.width, experts);
    std::vector<Values> outputs;  // every expert on every token; the router picks afterwards
    for (Index e = 0; e < experts; ++e)
      outputs.push_back(FeedForward(prefix + "experts." + std::to_string(e) + ".", x, false));
    if (moe.chooser == model::ExpertChooser::kExpert)
      return ChosenByExperts(experts, scores, outputs);
    Values sum(U(tokens_ * spec_.width));
    for (Index t = 0; t < tokens_; ++t) {
      Values all(scores.begin() + t * experts, scores.begin() + (t + 1) * experts);
      std::vector<Index> order(U(experts));
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(),
                       [&](Index a, Index b) { return all[U(a)] > all[U(b)]; });
      if (moe.score == model::RouterScore::kSoftmaxThenTopK) SoftmaxOf(all);
      Values weights;
      for (Index i = 0; i < moe.top_k; ++i) weights.push_back(all[U(order[U(i)])]);
      if (moe.score == model::RouterScore::kTopKThenSoftmax) SoftmaxOf(weights);
      if (moe.score == model::RouterScore::kSigmoid) {
        for (double& weight : weights) weight = 1 / (1 + std::exp(-weight));
      }
      const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
      const bool normalise =
          moe.normalise_top_k && moe.score != model::RouterScore::kTopKThenSoftmax;
      for (Index i = 0; i < moe.top_k; ++i) {
        const double weight = normalise ? weights[U(i)] / total : weights[U(i)];
        const Values& output = outputs[U(order[U(i)])];
        for (Index d = 0; d < spec_.width; ++d)
          sum[U(t * spec_.width + d)] += weight * output[U(t * spec_.width + d)];
      }
    }
    return sum;
  }

  // Zhou et al. 2022, equations 1 to 3: each expert takes the best of the tokens, as many as its
  // share of capacity * tokens, and adds what it makes of them times the softmax over the experts.
  Values ChosenByExperts(Index experts, Values scores, const std::vector<Values>& outputs) const {
    for (Index t = 0; t < tokens_; ++t) {
      Values row(scores.begin() + t * experts, scores.begin() + (t + 1) * experts);
      SoftmaxOf(row);
      std::copy(row.begin(), row.end(), scores.begin() + t * experts);
    }
    const double share =
        spec_.moe.capacity * static_cast<double>(tokens_) / static_cast<double>(experts);
    const Index count = std::min(tokens_, static_cast<Index>(std::ceil(share)));
    Values sum(U(tokens_ * spec_.width));
    for (Index e = 0; e < experts; ++e) {
      std::vector<Index> order(U(tokens_));
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) {
        return scores[U(a * experts + e)] > scores[U(b * experts + e)];
      });
      for (Index i = 0; i < count; ++i) {
        const Index t = order[U(i)];
        for (Index d = 0; d < spec_.width; ++d)
          sum[U(t * spec_.width + d)] +=
              scores[U(t * experts + e)] * outputs[U(e)][U(t * spec_.width + d)];
      }
    }
    return sum;
  }

  // Rajbhandari et al. 2022, section 4.1.1.
  void Mix(const std::string& prefix, const Values& x, Values& sum) const {
    const Values shares = Multiply(prefix + "mix.weight", prefix + "mix.bias", x, spec_.width, 2);
    const Values dense = FeedForward(prefix + "ffn.", x, spec_.ffn_bias);
    for (Index t = 0; t < tokens_; ++t) {
      Values both = {shares[U(2 * t)], shares[U(2 * t + 1)]};
      SoftmaxOf(both);
      for (Index d = t * spec_.width; d < (t + 1) * spec_.width; ++d)
        sum[U(d)] = both[0] * sum[U(d)] + both[1] * dense[U(d)];
    }
  }

  // x [rows, in] times w [out, in] transposed, plus the bias unless its name is empty.
  Values Multiply(const std::string& name, const std::string& bias, const Values& x, Index in,
                  Index out) const {
    const Values w = Parameter(name);
    const Values shift = bias.empty() ? Values(U(out)) : Parameter(bias);
    const Index rows = static_cast<Index>(x.size()) / in;
    Values y(U(rows * out));
    for (Index r = 0; r < rows; ++r) {
      for (Index o = 0; o < out; ++o) {
        double sum = shift[U(o)];
        for (Index i = 0; i < in; ++i) sum += x[U(r * in + i)] * w[U(o * in + i)];
        y[U(r * out + o)] = sum;
      }
    }
    return y;
  }

  Values Norm(const std::string& name, const Values& x) const {
    const model::NormSpec& norm = spec_.norm;
    Values weight = Parameter(name + ".weight");
    if (norm.plus_one) {
      for (double& w : weight) w += 1;
    }
    if (norm.kind == model::NormKind::kRms) return Scaled(x, weight);
    const Values bias = norm.bias ? Parameter(name + ".bias") : Values(weight.size());
    Values y(x.size());
    const std::size_t n = weight.size();
    for (std::size_t row = 0; row < x.size(); row += n) {
      double mean = 0;
      double variance = 0;
      for (std::size_t i = 0; i < n; ++i) mean += x[row + i] / static_cast<double>(n);
      for (std::size_t i = 0; i < n; ++i)
        variance += (x[row + i] - mean) * (x[row + i] - mean) / static_cast<double>(n);
      for (std::size_t i = 0; i < n; ++i)
        y[row + i] = (x[row + i] - mean) / std::sqrt(variance + norm.epsilon) * weight[i] + bias[i];
    }
    return y;
  }

  // RMS norm of each stretch of weight.size() values.
  Values Scaled(const Values& x, const Values& weight) const {
    Values y(x.size());
    const std::size_t n = weight.size();
    for (std::size_t row = 0; row < x.size(); row += n) {
      double mean = 0;
      for (std::size_t i = 0; i < n; ++i) mean += x[row + i] * x[row + i] / static_cast<double>(n);
      for (std::size_t i = 0; i < n; ++i)
        y[row + i] = x[row + i] / std::sqrt(mean + spec_.norm.epsilon) * weight[i];
    }
    return y;
  }

  static void SoftmaxOf(Values& x) {
    const double max = *std::max_element(x.begin(), x.end());
    double sum = 0;
    for (double& value : x) sum += value = std::exp(value - max);
    for (double& value : x) value /= sum;
  }

  static void Add(Values& x, const Values& y) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }

  const ModelSpec& spec_;
  const ReferenceParameters& parameters_;
  Index tokens_ = 0;
};

}  // namespace

ReferenceResult RunReference(const ModelSpec& spec, const ReferenceParameters& parameters,
                             const std::vector<std::int32_t>& tokens,
                             const std::vector<std::int32_t>& types) {
  return Reference(spec, parameters).Run(tokens, types);
}

}  // namespace metier::test
