#include "train/reference_ops.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "train/cpu_types.h"

namespace metier::train {

// The sequences of a Layout in groups of similar length, each padded to its group's longest.
struct PaddedLayout {
  struct Group {
    std::int64_t first = 0;   // padded rows before it
    std::int64_t rows = 0;    // sequences * tokens
    std::int64_t tokens = 0;  // of each sequence
    at::Tensor lengths;       // int64 [sequences]; undefined: all are `tokens` long
  };
  std::vector<Group> groups;
  at::Tensor order;   // int64 [padded rows]: the token of each; padding repeats the last one
  at::Tensor place;   // int64 [tokens]: the row of each
  bool same = false;  // rows are tokens
};

namespace reference {
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

// Unsigned; sums and products of LibTorch's int64 wrap as unsigned ones do.
at::Tensor ShiftRight(const at::Tensor& z, std::int64_t bits) {
  const std::int64_t kept = (std::int64_t{1} << (64 - bits)) - 1;
  return z.bitwise_right_shift(bits).bitwise_and_(kept);
}

std::int64_t Signed(std::uint64_t bits) { return static_cast<std::int64_t>(bits); }

// [sequences, tokens, heads, dim] rotated by position; the table's first `tokens` rows are used.
at::Tensor Rotate(const at::Tensor& x, const AttentionShape& shape) {
  if (!shape.cosine.defined()) return x;
  const std::int64_t tokens = x.size(1);
  const std::int64_t half = shape.head_dim / 2;
  const at::Tensor cosine = shape.cosine.narrow(0, 0, tokens).unsqueeze(1);
  const at::Tensor sine = shape.sine.narrow(0, 0, tokens).unsqueeze(1);
  const at::Tensor a = x.narrow(-1, 0, half);
  const at::Tensor b = x.narrow(-1, half, half);
  return at::cat({a * cosine - b * sine, b * cosine + a * sine}, -1);
}

// What is added to scores [sequences, heads, tokens, tokens]: -inf where a query must not look, and
// ALiBi. Queries of the padding see its keys, so that every query sees something.
at::Tensor Bias(const AttentionShape& shape, const at::Tensor& lengths, std::int64_t tokens,
                const at::TensorOptions& options) {
  const at::Tensor position = at::arange(tokens, options.dtype(at::kLong));
  const at::Tensor distance = position.unsqueeze(0) - position.unsqueeze(1);  // key - query
  at::Tensor hidden = at::zeros({tokens, tokens}, options.dtype(at::kBool));
  if (shape.causal) hidden = hidden.logical_or(distance.gt(0));
  if (shape.window > 0) {
    hidden = hidden.logical_or(distance.le(-shape.window));
    hidden = hidden.logical_or(distance.ge(shape.window));
  }
  hidden = hidden.unsqueeze(0);
  if (lengths.defined()) {
    const at::Tensor padding =
        position.unsqueeze(0).ge(lengths.unsqueeze(1));  // [sequences, tokens]
    hidden =
        hidden.logical_or(padding.unsqueeze(1).logical_and(padding.logical_not().unsqueeze(2)));
  }
  const at::Tensor bias =
      at::zeros(hidden.sizes(), options).masked_fill_(hidden, -INFINITY).unsqueeze(1);
  if (!shape.slopes.defined()) return bias;
  return bias + shape.slopes.view({-1, 1, 1}) * distance.to(options.dtype());
}

// qkv: [sequences tokens, row], sequences of `tokens` each.
at::Tensor AttentionOfGroup(const at::Tensor& qkv, const AttentionShape& shape, std::int64_t tokens,
                            const at::Tensor& lengths, at::ScalarType real) {
  const at::Tensor wide =
      qkv.to(real).view({-1, tokens, shape.heads + 2 * shape.kv_heads, shape.head_dim});
  const std::int64_t group = shape.heads / shape.kv_heads;
  const auto spread = [&](const at::Tensor& kv) {
    return (group == 1 ? kv : kv.repeat_interleave(group, 2)).transpose(1, 2);
  };
  const at::Tensor q = Rotate(wide.narrow(2, 0, shape.heads), shape).transpose(1, 2) * shape.scale;
  const at::Tensor k = spread(Rotate(wide.narrow(2, shape.heads, shape.kv_heads), shape));
  const at::Tensor v = spread(wide.narrow(2, shape.heads + shape.kv_heads, shape.kv_heads));
  at::Tensor scores = at::matmul(q, k.transpose(2, 3));
  scores.add_(Bias(shape, lengths, tokens, q.options()));
  return at::matmul(at::softmax(scores, -1), v)
      .transpose(1, 2)
      .reshape({-1, shape.heads * shape.head_dim})
      .to(qkv.scalar_type());
}

// Lengths in (2^(n - 1), 2^n] go together, the shortest in one: at most half of a group is padding.
std::shared_ptr<const PaddedLayout> Pad(const Layout& layout, const at::Device& device) {
  constexpr std::uint64_t kShort = 16;
  std::map<int, std::vector<std::size_t>> classes;
  const auto length_of = [&](std::size_t s) { return layout.starts[s + 1] - layout.starts[s]; };
  for (std::size_t s = 0; s + 1 < layout.starts.size(); ++s) {
    const auto length = static_cast<std::uint64_t>(length_of(s));
    const auto size = static_cast<int>(std::bit_width(std::max(length, kShort) - 1));
    if (length > 0) classes[size].push_back(s);
  }
  auto padded = std::make_shared<PaddedLayout>();
  std::vector<std::int64_t> order;
  std::vector<std::int64_t> place(static_cast<std::size_t>(layout.tokens()));
  for (const auto& [size, sequences] : classes) {
    PaddedLayout::Group group;
    group.first = static_cast<std::int64_t>(order.size());
    std::vector<std::int64_t> lengths;
    for (const std::size_t s : sequences) lengths.push_back(length_of(s));
    group.tokens = *std::max_element(lengths.begin(), lengths.end());
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      const std::int64_t start = layout.starts[sequences[i]];
      for (std::int64_t t = 0; t < group.tokens; ++t) {
        if (t < lengths[i])
          place[static_cast<std::size_t>(start + t)] = static_cast<std::int64_t>(order.size());
        order.push_back(start + std::min(t, lengths[i] - 1));
      }
    }
    group.rows = static_cast<std::int64_t>(order.size()) - group.first;
    const auto [least, most] = std::minmax_element(lengths.begin(), lengths.end());
    if (*least != *most) group.lengths = torch::tensor(lengths, at::kLong).to(device);
    padded->groups.push_back(std::move(group));
  }
  padded->same = std::ranges::is_sorted(place) && place.size() == order.size();
  padded->order = torch::tensor(order, at::kLong).to(device);
  padded->place = torch::tensor(place, at::kLong).to(device);
  return padded;
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

at::Tensor Draws(std::int64_t count, const at::Device& device, std::uint64_t key) {
  const torch::NoGradGuard no_grad;
  at::Tensor z = at::arange(1, count + 1, at::TensorOptions().dtype(at::kLong).device(device));
  z.mul_(Signed(0x9e3779b97f4a7c15ULL)).add_(Signed(key));
  z = z.bitwise_xor_(ShiftRight(z, 30)).mul_(Signed(0xbf58476d1ce4e5b9ULL));
  z = z.bitwise_xor_(ShiftRight(z, 27)).mul_(Signed(0x94d049bb133111ebULL));
  return z.bitwise_xor_(ShiftRight(z, 31));
}

at::Tensor Dropout(const at::Tensor& in, double p, std::uint64_t key) {
  const torch::NoGradGuard no_grad;
  const at::Tensor z = Draws(in.numel(), in.device(), key);
  // Less as unsigned numbers: both with the highest bit turned.
  constexpr std::uint64_t kHighest = 1ULL << 63;
  const auto limit = static_cast<std::uint64_t>(p * 0x1.0p64);
  const at::Tensor dropped = z.bitwise_xor_(Signed(kHighest)).lt(Signed(limit ^ kHighest));
  const at::Tensor kept = in.to(RealOf(in.scalar_type())).mul(1 / (1 - p)).to(in.scalar_type());
  return kept.masked_fill_(dropped.view(in.sizes()), 0);
}

at::Tensor Attention(const at::Tensor& qkv, const AttentionShape& shape, const Layout& layout) {
  if (layout.tokens() == 0) return qkv.narrow(1, 0, shape.heads * shape.head_dim);
  if (!layout.padded || layout.padded->order.device() != qkv.device())
    layout.padded = Pad(layout, qkv.device());
  const PaddedLayout& padded = *layout.padded;
  const at::ScalarType real = RealOf(qkv.scalar_type());
  const at::Tensor rows = padded.same ? qkv : SpreadRows(qkv, padded.order, padded.place, 1);
  std::vector<at::Tensor> parts;
  for (const PaddedLayout::Group& group : padded.groups) {
    parts.push_back(AttentionOfGroup(rows.narrow(0, group.first, group.rows), shape, group.tokens,
                                     group.lengths, real));
  }
  const at::Tensor all = parts.size() == 1 ? parts.front() : at::cat(parts);
  return padded.same ? all : PickRows(all, padded.place);
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

}  // namespace reference
}  // namespace metier::train
