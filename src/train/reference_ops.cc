#include "train/reference_ops.h"

#include <cmath>

namespace metier::train::reference {
namespace {

at::Tensor Activate(const at::Tensor& x, model::Activation activation) {
  switch (activation) {
    case model::Activation::kSilu: return at::silu(x);
    case model::Activation::kGeluErf: return at::gelu(x);
    case model::Activation::kGeluTanh: return at::gelu(x, "tanh");
    case model::Activation::kRelu: return at::relu(x);
  }
  return x;
}

// [sequence, tokens, heads, dim] rotated by position; the table's first `tokens` rows are used.
at::Tensor Rotate(const at::Tensor& x, const AttentionShape& shape) {
  if (!shape.cosine.defined()) return x;
  const std::int64_t tokens = x.size(0);
  const std::int64_t half = shape.head_dim / 2;
  const at::Tensor cosine = shape.cosine.narrow(0, 0, tokens).unsqueeze(1);
  const at::Tensor sine = shape.sine.narrow(0, 0, tokens).unsqueeze(1);
  const at::Tensor a = x.narrow(-1, 0, half);
  const at::Tensor b = x.narrow(-1, half, half);
  return at::cat({a * cosine - b * sine, b * cosine + a * sine}, -1);
}

// What is added to the scores of one sequence: -inf where a query must not look, and ALiBi.
at::Tensor Bias(const AttentionShape& shape, std::int64_t tokens,
                const at::TensorOptions& options) {
  const at::Tensor position = at::arange(tokens, options.dtype(at::kLong));
  const at::Tensor distance = position.unsqueeze(0) - position.unsqueeze(1);  // key - query
  at::Tensor hidden = at::zeros({tokens, tokens}, options.dtype(at::kBool));
  if (shape.causal) hidden = hidden.logical_or(distance.gt(0));
  if (shape.window > 0) {
    hidden = hidden.logical_or(distance.le(-shape.window));
    hidden = hidden.logical_or(distance.ge(shape.window));
  }
  at::Tensor bias = at::zeros({tokens, tokens}, options).masked_fill_(hidden, -INFINITY);
  if (!shape.slopes.defined()) return bias.unsqueeze(0);
  return bias.unsqueeze(0) + shape.slopes.view({-1, 1, 1}) * distance.to(options.dtype());
}

at::Tensor OneSequence(const at::Tensor& qkv, const AttentionShape& shape, at::ScalarType real) {
  const std::int64_t tokens = qkv.size(0);
  const at::Tensor wide =
      qkv.to(real).view({tokens, shape.heads + 2 * shape.kv_heads, shape.head_dim});
  const std::int64_t group = shape.heads / shape.kv_heads;
  const auto spread = [&](const at::Tensor& kv) {
    return kv.repeat_interleave(group, 1).transpose(0, 1);
  };
  const at::Tensor q = Rotate(wide.narrow(1, 0, shape.heads), shape).transpose(0, 1) * shape.scale;
  const at::Tensor k = spread(Rotate(wide.narrow(1, shape.heads, shape.kv_heads), shape));
  const at::Tensor v = spread(wide.narrow(1, shape.heads + shape.kv_heads, shape.kv_heads));
  const at::Tensor scores = at::matmul(q, k.transpose(1, 2)) + Bias(shape, tokens, q.options());
  return at::matmul(at::softmax(scores, -1), v)
      .transpose(0, 1)
      .reshape({tokens, shape.heads * shape.head_dim});
}

}  // namespace

Normed AddNorm(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight,
               const at::Tensor& bias, const model::NormSpec& norm, at::ScalarType out) {
  const at::Tensor sum = delta.defined() ? x + delta.to(x.scalar_type()) : x;
  at::Tensor centred = sum;
  if (norm.kind == model::NormKind::kLayer) centred = sum - sum.mean(-1, true);
  at::Tensor y = centred * at::rsqrt(centred.square().mean(-1, true) + norm.epsilon);
  y = y * (norm.plus_one ? weight + 1 : weight);
  if (bias.defined()) y = y + bias;
  return {sum, y.to(out)};
}

at::Tensor Gate(const at::Tensor& in, model::Activation activation, bool gated) {
  if (!gated) return Activate(in, activation);
  const std::int64_t hidden = in.size(-1) / 2;
  return Activate(in.narrow(-1, 0, hidden), activation) * in.narrow(-1, hidden, hidden);
}

at::Tensor Attention(const at::Tensor& qkv, const AttentionShape& shape, const Layout& layout) {
  const at::ScalarType real = qkv.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  std::vector<at::Tensor> parts;
  for (std::int64_t s = 0; s < layout.sequences(); ++s) {
    const std::int64_t start = layout.starts[static_cast<std::size_t>(s)];
    const std::int64_t length = layout.starts[static_cast<std::size_t>(s) + 1] - start;
    if (length > 0) parts.push_back(OneSequence(qkv.narrow(0, start, length), shape, real));
  }
  if (parts.empty()) return qkv.narrow(1, 0, shape.heads * shape.head_dim);
  return at::cat(parts).to(qkv.scalar_type());
}

void AdamUpdate(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& first,
                const at::Tensor& second, const at::Tensor& act, const AdamStep& step) {
  const torch::NoGradGuard no_grad;
  const double correction1 = 1 - std::pow(step.beta1, static_cast<double>(step.step));
  const double correction2 = 1 - std::pow(step.beta2, static_cast<double>(step.step));
  const at::Tensor g = gradient * step.gradient_scale;
  first.mul_(step.beta1).add_(g, 1 - step.beta1);
  second.mul_(step.beta2).addcmul_(g, g, 1 - step.beta2);
  const at::Tensor root = second.sqrt().mul_(1 / std::sqrt(correction2)).add_(step.epsilon);
  parameter.mul_(1 - step.learning_rate * step.decay);
  parameter.addcdiv_(first, root, -step.learning_rate / correction1);
  if (act.defined()) act.copy_(parameter);
}

}  // namespace metier::train::reference
