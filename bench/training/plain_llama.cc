#include "plain_llama.h"

#include <cmath>
#include <limits>

namespace metier::bench {

PlainLlama::PlainLlama(const model::ModelSpec& spec, std::int64_t length, at::ScalarType act)
    : spec_(spec), act_(act) {
  constexpr double kStd = 0.02;
  const std::int64_t width = spec.width;
  embedding_ = Parameter({spec.vocab, width}, kStd);
  head_ = spec.tied_head ? embedding_ : Parameter({spec.vocab, width}, kStd);
  for (std::int64_t i = 0; i < spec.layers; ++i) {
    Layer layer;
    layer.attn_norm = Parameter({width}, 0);
    layer.q.weight = Parameter({spec.q_width(), width}, kStd);
    layer.k.weight = Parameter({spec.kv_width(), width}, kStd);
    layer.v.weight = Parameter({spec.kv_width(), width}, kStd);
    layer.o.weight = Parameter({width, spec.q_width()}, kStd);
    layer.ffn_norm = Parameter({width}, 0);
    layer.gate.weight = Parameter({spec.hidden, width}, kStd);
    layer.up.weight = Parameter({spec.hidden, width}, kStd);
    layer.down.weight = Parameter({width, spec.hidden}, kStd);
    layers_.push_back(std::move(layer));
  }
  final_norm_ = Parameter({width}, 0);
  const at::Tensor speed = torch::tensor(model::RopeFrequencies(spec), at::kFloat);
  const at::Tensor angle = at::outer(at::arange(length, at::kFloat), speed);
  cosine_ = at::cat({angle.cos(), angle.cos()}, 1).to(act);
  sine_ = at::cat({angle.sin(), angle.sin()}, 1).to(act);
  mask_ = at::full({length, length}, -std::numeric_limits<float>::infinity()).triu(1).to(act);
}

at::Tensor PlainLlama::Parameter(at::IntArrayRef shape, double std) {
  at::Tensor value = std > 0 ? at::randn(shape) * std : at::ones(shape);
  value.requires_grad_(true);
  parameters_.push_back(value);
  return value;
}

void PlainLlama::AddLora(std::int64_t rank) {
  for (at::Tensor& parameter : parameters_) parameter.requires_grad_(false);
  parameters_.clear();
  for (Layer& layer : layers_) {
    for (Linear* linear :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      linear->a = Parameter({rank, linear->weight.size(1)}, 0.02);
      linear->b = Parameter({linear->weight.size(0), rank}, 0.02);
    }
  }
}

at::Tensor PlainLlama::Apply(const Linear& linear, const at::Tensor& x) const {
  const at::Tensor y = at::linear(x, linear.weight.to(act_));
  if (!linear.a.defined()) return y;
  return y + at::linear(at::linear(x, linear.a.to(act_)), linear.b.to(act_));
}

at::Tensor PlainLlama::Norm(const at::Tensor& x, const at::Tensor& weight) const {
  return (x * at::rsqrt(x.pow(2).mean(-1, true) + spec_.norm.epsilon) * weight).to(act_);
}

// x: [sequences, heads, length, head_dim].
at::Tensor PlainLlama::Rotate(const at::Tensor& x) const {
  const std::vector<at::Tensor> halves = x.chunk(2, -1);
  return x * cosine_ + at::cat({-halves[1], halves[0]}, -1) * sine_;
}

at::Tensor PlainLlama::Attention(const Layer& layer, const at::Tensor& x) const {
  const auto split = [&](const at::Tensor& y, std::int64_t heads) {
    return y.view({x.size(0), x.size(1), heads, spec_.head_dim}).transpose(1, 2);
  };
  const at::Tensor q = Rotate(split(Apply(layer.q, x), spec_.heads));
  at::Tensor k = Rotate(split(Apply(layer.k, x), spec_.kv_heads));
  at::Tensor v = split(Apply(layer.v, x), spec_.kv_heads);
  if (spec_.heads != spec_.kv_heads) {
    k = k.repeat_interleave(spec_.heads / spec_.kv_heads, 1);
    v = v.repeat_interleave(spec_.heads / spec_.kv_heads, 1);
  }
  const at::Tensor scores = at::matmul(q, k.transpose(-1, -2)) * spec_.score_scale() + mask_;
  const at::Tensor weights = at::softmax(scores.to(at::kFloat), -1).to(act_);
  const at::Tensor heads =
      at::matmul(weights, v).transpose(1, 2).reshape({x.size(0), x.size(1), spec_.q_width()});
  return Apply(layer.o, heads);
}

at::Tensor PlainLlama::Loss(const at::Tensor& ids) const {
  at::Tensor x = at::embedding(embedding_, ids);
  for (const Layer& layer : layers_) {
    x = x + Attention(layer, Norm(x, layer.attn_norm));
    const at::Tensor h = Norm(x, layer.ffn_norm);
    x = x + Apply(layer.down, at::silu(Apply(layer.gate, h)) * Apply(layer.up, h));
  }
  const at::Tensor logits = at::linear(Norm(x, final_norm_), head_.to(act_)).to(at::kFloat);
  const at::Tensor predicting = logits.narrow(1, 0, ids.size(1) - 1).reshape({-1, spec_.vocab});
  return at::cross_entropy_loss(predicting, ids.narrow(1, 1, ids.size(1) - 1).reshape({-1}));
}

void PlainLlama::Step(double learning_rate) {
  const torch::NoGradGuard no_grad;
  constexpr double kBeta1 = 0.9;
  constexpr double kBeta2 = 0.999;
  ++step_;
  at::Tensor squares = at::zeros({});
  for (const at::Tensor& parameter : parameters_) squares += parameter.grad().pow(2).sum();
  const double norm = std::sqrt(squares.item<double>());
  if (first_.empty()) {
    for (const at::Tensor& parameter : parameters_) {
      first_.push_back(at::zeros_like(parameter));
      second_.push_back(at::zeros_like(parameter));
    }
  }
  const double correction1 = 1 - std::pow(kBeta1, static_cast<double>(step_));
  const double correction2 = 1 - std::pow(kBeta2, static_cast<double>(step_));
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor gradient = norm > 1 ? parameters_[i].grad() / norm : parameters_[i].grad();
    first_[i].mul_(kBeta1).add_(gradient, 1 - kBeta1);
    second_[i].mul_(kBeta2).addcmul_(gradient, gradient, 1 - kBeta2);
    const at::Tensor scale = (second_[i] / correction2).sqrt_().add_(1e-8);
    parameters_[i].addcdiv_(first_[i], scale, -learning_rate / correction1);
    parameters_[i].mutable_grad().reset();
  }
}

}  // namespace metier::bench
