// Operations around matrix products: linears with their adapters, experts, the head with its loss,
// attention.
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "train/cpu_types.h"
#include "train/low_rank.h"
#include "train/ops.h"
#include "train/reference_ops.h"

namespace metier::train {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

bool Trains(const at::Tensor& tensor) { return tensor.defined() && tensor.requires_grad(); }

// Column sums in the real type.
at::Tensor SumRows(const at::Tensor& dy) { return dy.sum(0, false, RealOf(dy.scalar_type())); }

// A frozen weight in blocks for the backward pass; autograd keeps tensors and capsules.
void KeepBlocks(AutogradContext* ctx, const Weight& weight) {
  if (weight.packed) ctx->saved_data["blocks"] = c10::IValue::make_capsule(weight.packed);
}

// The weight of a forward pass that kept `act` and, where it is in blocks, those.
Weight KeptWeight(AutogradContext* ctx, const at::Tensor& act) {
  Weight weight{at::Tensor(), act};
  const auto blocks = ctx->saved_data.find("blocks");
  if (blocks != ctx->saved_data.end())
    weight.packed = c10::static_intrusive_pointer_cast<PackedWeight>(blocks->second.toCapsule());
  return weight;
}

// Autograd keeps lists of integers.
std::vector<std::int64_t> Flat(const std::vector<LowRankBlock>& blocks) {
  std::vector<std::int64_t> flat;
  for (const LowRankBlock& block : blocks)
    flat.insert(flat.end(), {block.row, block.rows, block.rank, block.ranks});
  return flat;
}

std::vector<LowRankBlock> BlocksOf(const std::vector<std::int64_t>& flat) {
  std::vector<LowRankBlock> blocks;
  for (std::size_t i = 0; i < flat.size(); i += 4)
    blocks.push_back({flat[i], flat[i + 1], flat[i + 2], flat[i + 3]});
  return blocks;
}

struct LinearFunction : public Function<LinearFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const MaybeTensor& master,
                            const Weight& weight, const MaybeTensor& given_bias,
                            const MaybeTensor& given_a, const MaybeTensor& given_b,
                            const std::vector<LowRankBlock>& blocks) {
    const at::Tensor bias = TensorOr(given_bias);
    const LowRank adapter{TensorOr(given_a), TensorOr(given_b), blocks};
    const at::ScalarType act = weight.type();
    const at::Tensor in = x.to(act);
    at::Tensor y = Multiply(in, weight, bias.defined() ? bias.to(act) : bias);
    at::Tensor inner;
    if (adapter.a.defined()) {
      inner = low_rank::Inner(adapter, in);
      low_rank::AddOutput(adapter, inner, y);
    }
    const bool keep_in = Trains(TensorOr(master)) || Trains(adapter.a);
    ctx->save_for_backward({keep_in ? in : at::Tensor(), weight.act, adapter.a, adapter.b, inner});
    KeepBlocks(ctx, weight);
    ctx->saved_data["ranks"] = Flat(blocks);
    ctx->saved_data["x"] = x.requires_grad();
    ctx->saved_data["x_type"] = static_cast<std::int64_t>(x.scalar_type());
    ctx->saved_data["in"] = x.size(1);
    ctx->saved_data["weight"] = Trains(TensorOr(master));
    ctx->saved_data["bias"] = Trains(bias);
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& in = saved[0];
    const Weight weight = KeptWeight(ctx, saved[1]);
    const at::Tensor dy = grads[0].to(weight.type());
    const at::ScalarType real = RealOf(weight.type());
    variable_list out(7);
    const LowRank adapter{saved[2], saved[3], BlocksOf(ctx->saved_data["ranks"].toIntVector())};
    at::Tensor dinner;
    if (adapter.a.defined()) {
      dinner = low_rank::InnerGradient(adapter, dy);
      out[4] = low_rank::AGradient(dinner, in);
      out[5] = low_rank::BGradient(adapter, dy, saved[4]);
    }
    if (ctx->saved_data["x"].toBool()) {
      at::Tensor dx = at::empty({dy.size(0), ctx->saved_data["in"].toInt()}, dy.options());
      MultiplyBack(dy, weight, dx);
      if (dinner.defined()) low_rank::AddInput(adapter, dinner, dx);
      out[0] = dx.to(static_cast<at::ScalarType>(ctx->saved_data["x_type"].toInt()));
    }
    if (ctx->saved_data["weight"].toBool()) out[1] = at::mm(dy.t(), in).to(real);
    if (ctx->saved_data["bias"].toBool()) out[3] = SumRows(dy);
    return out;
  }
};

struct GroupedFunction : public Function<GroupedFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const MaybeTensor& master,
                            const Weight& weight, const std::vector<std::int64_t>& starts) {
    const at::Tensor in = x.to(weight.type());
    const auto experts = static_cast<std::int64_t>(starts.size()) - 1;
    const std::int64_t each = weight.packed ? weight.rows() / experts : weight.act.size(1);
    const at::Tensor y = at::empty({in.size(0), each}, in.options());
    for (std::size_t e = 0; e + 1 < starts.size(); ++e) {
      const std::int64_t rows = starts[e + 1] - starts[e];
      if (rows == 0) continue;
      at::Tensor out = y.narrow(0, starts[e], rows);
      const at::Tensor part = in.narrow(0, starts[e], rows);
      const auto expert = static_cast<std::int64_t>(e);
      if (weight.packed) {
        weight.packed->Multiply(part, expert * each, at::Tensor(), out);
      } else {
        at::mm_out(out, part, weight.act[expert].t());
      }
    }
    ctx->save_for_backward({in, weight.act});
    KeepBlocks(ctx, weight);
    ctx->saved_data["starts"] = starts;
    ctx->saved_data["weight"] = Trains(TensorOr(master));
    ctx->saved_data["x_type"] = static_cast<std::int64_t>(x.scalar_type());
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& in = saved[0];
    const Weight weight = KeptWeight(ctx, saved[1]);
    const std::vector<std::int64_t> starts = ctx->saved_data["starts"].toIntVector();
    const at::ScalarType real = RealOf(weight.type());
    const at::Tensor dy = grads[0].to(weight.type()).contiguous();
    const at::Tensor dx = at::empty_like(in);
    at::Tensor dweight;
    if (ctx->saved_data["weight"].toBool())
      dweight = at::zeros(weight.act.sizes(), weight.act.options().dtype(real));
    for (std::size_t e = 0; e + 1 < starts.size(); ++e) {
      const std::int64_t rows = starts[e + 1] - starts[e];
      if (rows == 0) continue;
      const auto expert = static_cast<std::int64_t>(e);
      const at::Tensor part = dy.narrow(0, starts[e], rows);
      at::Tensor out = dx.narrow(0, starts[e], rows);
      if (weight.packed) {
        weight.packed->MultiplyBack(part, expert * dy.size(1), out);
      } else {
        at::mm_out(out, part, weight.act[expert]);
      }
      if (dweight.defined()) dweight[expert].copy_(at::mm(part.t(), in.narrow(0, starts[e], rows)));
    }
    return {dx.to(static_cast<at::ScalarType>(ctx->saved_data["x_type"].toInt())), dweight,
            at::Tensor(), at::Tensor()};
  }
};

struct AttentionFunction : public Function<AttentionFunction> {
  static cpu::AttentionArgs Args(const AttentionShape& shape, const Layout& layout,
                                 const at::Tensor& qkv) {
    cpu::AttentionArgs args;
    args.heads = shape.heads;
    args.kv_heads = shape.kv_heads;
    args.head_dim = shape.head_dim;
    args.scale = shape.scale;
    args.causal = shape.causal;
    args.window = shape.window;
    args.act = ActOf(qkv);
    args.qkv = qkv.data_ptr();
    args.cosine = shape.cosine.defined() ? shape.cosine.data_ptr() : nullptr;
    args.sine = shape.sine.defined() ? shape.sine.data_ptr() : nullptr;
    args.slopes = shape.slopes.defined() ? shape.slopes.data_ptr() : nullptr;
    args.starts = layout.starts.data();
    return args;
  }

  // Runs every task once; which thread takes which has no influence on the result.
  template <class Run>
  static void ForEachTask(const cpu::AttentionArgs& args, const Layout& layout, at::ScalarType real,
                          Run&& run) {
    const std::int64_t tasks = layout.sequences() * args.kv_heads;
    const std::int64_t scratch = KernelsFor(real).attention_scratch(args, layout.longest());
    std::atomic<std::int64_t> next{0};
    const std::int64_t workers = std::min<std::int64_t>(at::get_num_threads(), tasks);
    const auto work = [&](std::int64_t, std::int64_t) {
      const at::Tensor memory = at::empty({scratch}, at::TensorOptions().dtype(real));
      for (std::int64_t task = next++; task < tasks; task = next++) run(task, memory.data_ptr());
    };
    at::parallel_for(0, workers, 1, work);
  }

  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& given,
                            const std::shared_ptr<AttentionShape>& shape,
                            const std::shared_ptr<Layout>& layout) {
    const at::Tensor qkv = given.contiguous();
    const at::ScalarType real = RealOf(qkv.scalar_type());
    const at::Tensor out = at::empty({qkv.size(0), shape->heads * shape->head_dim}, qkv.options());
    const at::Tensor log_sum = at::empty({qkv.size(0), shape->heads}, qkv.options().dtype(real));
    cpu::AttentionArgs args = Args(*shape, *layout, qkv);
    args.out = out.data_ptr();
    args.log_sum = log_sum.data_ptr();
    const auto& kernels = KernelsFor(real);
    ForEachTask(args, *layout, real,
                [&](std::int64_t task, void* scratch) { kernels.attention(args, task, scratch); });
    ctx->save_for_backward({qkv, out, log_sum, shape->cosine, shape->sine, shape->slopes});
    ctx->saved_data["starts"] = layout->starts;
    ctx->saved_data["sizes"] =
        std::vector<std::int64_t>{shape->heads, shape->kv_heads, shape->head_dim, shape->window};
    ctx->saved_data["scale"] = shape->scale;
    ctx->saved_data["causal"] = shape->causal;
    return out;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& qkv = saved[0];
    const at::ScalarType real = RealOf(qkv.scalar_type());
    const auto sizes = ctx->saved_data["sizes"].toIntVector();
    AttentionShape shape;
    shape.heads = sizes[0];
    shape.kv_heads = sizes[1];
    shape.head_dim = sizes[2];
    shape.window = sizes[3];
    shape.scale = ctx->saved_data["scale"].toDouble();
    shape.causal = ctx->saved_data["causal"].toBool();
    shape.cosine = saved[3];
    shape.sine = saved[4];
    shape.slopes = saved[5];
    Layout layout;
    layout.starts = ctx->saved_data["starts"].toIntVector();
    const at::Tensor dout = grads[0].contiguous();
    const at::Tensor dqkv = at::empty_like(qkv);
    cpu::AttentionArgs args = Args(shape, layout, qkv);
    args.out = saved[1].data_ptr();
    args.log_sum = saved[2].data_ptr();
    args.dout = dout.data_ptr();
    args.dqkv = dqkv.data_ptr();
    const auto& kernels = KernelsFor(real);
    ForEachTask(args, layout, real, [&](std::int64_t task, void* scratch) {
      kernels.attention_grad(args, task, scratch);
    });
    return {dqkv, at::Tensor(), at::Tensor()};
  }
};

// Losses of some rows; leaves d loss / d logits in `logits` when `gradient`.
at::Tensor CrossEntropyRows(at::Tensor& logits, const at::Tensor& targets,
                            const at::Tensor& weights, double smoothing, bool gradient) {
  const at::ScalarType real = RealOf(logits.scalar_type());
  if (!UsesKernels(logits)) {
    const at::Tensor wide = logits.to(real);
    const at::Tensor log_p = at::log_softmax(wide, -1);
    at::Tensor losses = -log_p.gather(1, targets.unsqueeze(1)).squeeze(1);
    if (smoothing > 0) losses = (1 - smoothing) * losses - smoothing * log_p.mean(-1);
    losses = losses * weights;
    if (gradient) {
      at::Tensor d = log_p.exp() - smoothing / static_cast<double>(logits.size(1));
      d.scatter_add_(1, targets.unsqueeze(1),
                     at::full({targets.size(0), 1}, smoothing - 1, d.options()));
      logits = (d * weights.unsqueeze(1)).to(logits.scalar_type());
    }
    return losses;
  }
  const at::Tensor losses = at::empty({logits.size(0)}, logits.options().dtype(real));
  cpu::CrossEntropyArgs args;
  args.vocab = logits.size(1);
  args.act = ActOf(logits);
  args.logits = logits.data_ptr();
  args.target = targets.data_ptr<std::int64_t>();
  args.weight = weights.data_ptr();
  args.smoothing = smoothing;
  args.loss = losses.data_ptr();
  args.dlogits = gradient ? logits.data_ptr() : nullptr;
  const auto& kernels = KernelsFor(real);
  at::parallel_for(0, logits.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    kernels.cross_entropy(args, begin, end);
  });
  return losses;
}

// The head's rows of an adapter, in the type of its products; nothing where it has none.
struct OwnHead {
  at::Tensor index;
  at::Tensor values;  // act

  OwnHead(const MaybeTensor& given_index, const MaybeTensor& given_values, at::ScalarType act)
      : index(TensorOr(given_index)) {
    if (index.defined()) values = TensorOr(given_values).to(act);
  }

  // Puts their logits in the places of the head's.
  void PutLogits(const at::Tensor& logits, const at::Tensor& part) const {
    if (index.defined()) logits.index_copy_(1, index, at::mm(part, values.t()));
  }
  // Their part of the logits' gradient, which is 0 in its place afterwards: the head has no share
  // in it.
  at::Tensor TakeGradient(const at::Tensor& dlogits) const {
    if (!index.defined()) return at::Tensor();
    const at::Tensor taken = dlogits.index_select(1, index);
    dlogits.index_fill_(1, index, 0);
    return taken;
  }
};

// Rows whose logits are at hand at once.
std::int64_t HeadRows(const Weight& weight) {
  const std::int64_t row_bytes =
      weight.rows() * static_cast<std::int64_t>(c10::elementSize(weight.type()));
  return std::max<std::int64_t>(1, kHeadBytes / row_bytes);
}

struct HeadFunction : public Function<HeadFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const MaybeTensor& master,
                            const Weight& weight, const MaybeTensor& own_index,
                            const MaybeTensor& own_values, const at::Tensor& targets,
                            const at::Tensor& weights, double smoothing, bool gradient) {
    const at::ScalarType act = weight.type();
    const at::Tensor in = x.to(act);
    const OwnHead own(own_index, own_values, act);
    const bool train_own = gradient && Trains(TensorOr(own_values));
    const std::int64_t rows = in.size(0);
    const std::int64_t chunk = HeadRows(weight);
    const bool train_weight = gradient && Trains(TensorOr(master));
    const bool train_x = gradient && x.requires_grad();
    const at::Tensor dx = train_x ? at::empty_like(in) : at::Tensor();
    at::Tensor dweight;
    at::Tensor down;
    at::Tensor total = at::zeros({}, in.options().dtype(RealOf(act)));
    for (std::int64_t begin = 0; begin < rows; begin += chunk) {
      const std::int64_t count = std::min(chunk, rows - begin);
      const at::Tensor part = in.narrow(0, begin, count);
      at::Tensor logits = Multiply(part, weight);
      own.PutLogits(logits, part);
      total +=
          CrossEntropyRows(logits, targets.narrow(0, begin, count), weights.narrow(0, begin, count),
                           smoothing, train_x || train_weight || train_own)
              .sum();
      const at::Tensor of_own = own.TakeGradient(logits);
      if (train_x) {
        at::Tensor out = dx.narrow(0, begin, count);
        MultiplyBack(logits, weight, out);
        if (of_own.defined()) out.addmm_(of_own, own.values);
      }
      if (train_own) {
        const at::Tensor more = at::mm(of_own.t(), part).to(RealOf(act));
        down = down.defined() ? down.add_(more) : more;
      }
      if (!train_weight) continue;
      const at::Tensor more = at::mm(logits.t(), part).to(RealOf(act));
      dweight = dweight.defined() ? dweight.add_(more) : more;
    }
    ctx->save_for_backward({train_x ? dx.to(x.scalar_type()) : at::Tensor(), dweight, down});
    return total;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    // The loss is nearly always the root of the graph: then the factor is 1 and nothing is copied.
    // To look would be to wait for a GPU.
    const bool one = grads[0].device().is_cpu() && grads[0].item<double>() == 1;
    const auto scaled = [&](const at::Tensor& d) {
      return d.defined() && !one ? (d * grads[0]).to(d.scalar_type()) : d;
    };
    variable_list out(9);
    out[0] = scaled(saved[0]);
    out[1] = scaled(saved[1]);
    out[4] = scaled(saved[2]);
    return out;
  }
};

// The gradient of a row's value is the row's own share of it times something that does not depend
// on that share: where the head is frozen, that is had in the forward pass.
struct HeadLogProbFunction : public Function<HeadLogProbFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const MaybeTensor& master,
                            const Weight& weight, const MaybeTensor& own_index,
                            const MaybeTensor& own_values, const at::Tensor& targets,
                            bool gradient) {
    const at::Tensor in = x.to(weight.type());
    const OwnHead own(own_index, own_values, weight.type());
    const at::ScalarType real = RealOf(weight.type());
    const at::Tensor ones = at::ones({in.size(0)}, in.options().dtype(real));
    const bool train_weight = gradient && Trains(TensorOr(master));
    const bool train_own = gradient && Trains(TensorOr(own_values));
    const bool again = train_weight || train_own;
    const bool train_x = gradient && x.requires_grad() && !again;
    const at::Tensor unit = train_x ? at::empty_like(in) : at::Tensor();
    std::vector<at::Tensor> parts;
    for (std::int64_t begin = 0; begin < in.size(0); begin += HeadRows(weight)) {
      const std::int64_t count = std::min(HeadRows(weight), in.size(0) - begin);
      at::Tensor logits = Multiply(in.narrow(0, begin, count), weight);
      own.PutLogits(logits, in.narrow(0, begin, count));
      parts.push_back(-CrossEntropyRows(logits, targets.narrow(0, begin, count),
                                        ones.narrow(0, 0, count), 0, train_x));
      if (!train_x) continue;
      const at::Tensor of_own = own.TakeGradient(logits);
      at::Tensor out = unit.narrow(0, begin, count);
      MultiplyBack(logits, weight, out);
      if (of_own.defined()) out.addmm_(of_own, own.values);
    }
    ctx->save_for_backward(
        {unit, again ? in : at::Tensor(), weight.act, targets, own.index, own.values});
    KeepBlocks(ctx, weight);
    ctx->saved_data["weight"] = train_weight;
    ctx->saved_data["own"] = train_own;
    ctx->saved_data["x"] = gradient && x.requires_grad();
    ctx->saved_data["x_type"] = static_cast<std::int64_t>(x.scalar_type());
    return parts.empty() ? ones : at::cat(parts);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const auto x_type = static_cast<at::ScalarType>(ctx->saved_data["x_type"].toInt());
    // Losses were differentiated: values with the other sign.
    const at::Tensor shares = -grads[0];
    variable_list out(7);
    if (saved[0].defined()) {
      out[0] = (saved[0] * shares.unsqueeze(1)).to(x_type);
      return out;
    }
    const at::Tensor& in = saved[1];
    const Weight weight = KeptWeight(ctx, saved[2]);
    if (!in.defined()) return out;
    const bool train_x = ctx->saved_data["x"].toBool();
    const at::Tensor dx = train_x ? at::empty_like(in) : at::Tensor();
    const OwnHead own(Maybe(saved[4]), Maybe(saved[5]), weight.type());
    at::Tensor dweight;
    at::Tensor down;
    if (ctx->saved_data["weight"].toBool())
      dweight = at::zeros(weight.act.sizes(), shares.options());
    if (ctx->saved_data["own"].toBool()) down = at::zeros(own.values.sizes(), shares.options());
    for (std::int64_t begin = 0; begin < in.size(0); begin += HeadRows(weight)) {
      const std::int64_t count = std::min(HeadRows(weight), in.size(0) - begin);
      const at::Tensor part = in.narrow(0, begin, count);
      at::Tensor logits = Multiply(part, weight);
      own.PutLogits(logits, part);
      CrossEntropyRows(logits, saved[3].narrow(0, begin, count),
                       shares.narrow(0, begin, count).contiguous(), 0, true);
      const at::Tensor of_own = own.TakeGradient(logits);
      if (train_x) {
        at::Tensor rows = dx.narrow(0, begin, count);
        MultiplyBack(logits, weight, rows);
        if (of_own.defined()) rows.addmm_(of_own, own.values);
      }
      if (dweight.defined()) dweight.add_(at::mm(logits.t(), part));
      if (down.defined()) down.add_(at::mm(of_own.t(), part));
    }
    if (train_x) out[0] = dx.to(x_type);
    out[1] = dweight;
    out[4] = down;
    return out;
  }
};

}  // namespace

at::Tensor Linear(const at::Tensor& x, const Weight& weight, const at::Tensor& bias,
                  const LowRank& adapter, const Precision&) {
  return LinearFunction::apply(x, Maybe(weight.master), weight, Maybe(bias), Maybe(adapter.a),
                               Maybe(adapter.b), adapter.blocks);
}

at::Tensor GroupedLinear(const at::Tensor& x, const Weight& weight,
                         const std::vector<std::int64_t>& starts, const Precision&) {
  return GroupedFunction::apply(x, Maybe(weight.master), weight, starts);
}

at::Tensor Attention(const at::Tensor& qkv, const AttentionShape& shape, const Layout& layout) {
  if (!UsesKernels(qkv)) return reference::Attention(qkv, shape, layout);
  return AttentionFunction::apply(qkv, std::make_shared<AttentionShape>(shape),
                                  std::make_shared<Layout>(layout));
}

at::Tensor PutOwnLogits(const at::Tensor& x, const at::Tensor& hidden, const OwnRows& own) {
  if (!own.values.defined()) return x;
  const at::Tensor values = own.values.to(x.scalar_type());
  return x.index_copy(1, own.index, at::mm(hidden.to(x.scalar_type()), values.t()));
}

at::Tensor HeadLogProbs(const at::Tensor& hidden, const Weight& head, const at::Tensor& targets,
                        const OwnRows& own) {
  return HeadLogProbFunction::apply(hidden, Maybe(head.master), head, Maybe(own.index),
                                    Maybe(own.values), targets, at::GradMode::is_enabled());
}

at::Tensor HeadLoss(const at::Tensor& hidden, const Weight& head, const at::Tensor& targets,
                    const at::Tensor& weights, const Precision&, double smoothing,
                    const OwnRows& own) {
  return HeadFunction::apply(hidden, Maybe(head.master), head, Maybe(own.index), Maybe(own.values),
                             targets, weights, smoothing, at::GradMode::is_enabled());
}

}  // namespace metier::train
