#include "train/ops.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <utility>

#include "base/thread_pool.h"
#include "train/cpu_types.h"
#include "train/reference_ops.h"

namespace metier::train {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

thread_local int reference_guards = 0;

void* DataOf(const at::Tensor& tensor) { return tensor.defined() ? tensor.data_ptr() : nullptr; }

at::Tensor Contiguous(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.contiguous() : tensor;
}

cpu::Curve CurveOf(model::Activation activation) {
  switch (activation) {
    case model::Activation::kSilu: return cpu::Curve::kSilu;
    case model::Activation::kGeluErf: return cpu::Curve::kGeluErf;
    case model::Activation::kGeluTanh: return cpu::Curve::kGeluTanh;
    case model::Activation::kRelu: return cpu::Curve::kRelu;
  }
  return cpu::Curve::kSilu;
}

constexpr std::int64_t kRowGrain = 16;
constexpr std::int64_t kElementGrain = 1 << 15;

// Rows whose weight gradients are summed before they meet those of other groups: fixed, so that the
// bits do not depend on the number of threads.
constexpr std::int64_t kNormGroup = 128;

struct NormFunction : public Function<NormFunction> {
  static cpu::NormArgs Args(const at::Tensor& x, const at::Tensor& weight, bool rms, bool plus_one,
                            double epsilon) {
    cpu::NormArgs args;
    args.width = x.size(-1);
    args.rms = rms;
    args.plus_one = plus_one;
    args.epsilon = epsilon;
    args.x = x.data_ptr();
    args.weight = weight.data_ptr();
    args.group = kNormGroup;
    return args;
  }

  // Returns {y}, or {sum, y} with a delta.
  static variable_list forward(AutogradContext* ctx, const at::Tensor& given,
                               const MaybeTensor& given_delta, const at::Tensor& weight,
                               const MaybeTensor& given_bias, bool rms, bool plus_one,
                               double epsilon, std::int64_t out) {
    const at::Tensor x = given.contiguous();
    const at::Tensor delta = Contiguous(TensorOr(given_delta));
    const at::Tensor bias = TensorOr(given_bias);
    const std::int64_t rows = x.numel() / x.size(-1);
    cpu::NormArgs args = Args(x, weight, rms, plus_one, epsilon);
    const at::Tensor y = at::empty(x.sizes(), x.options().dtype(static_cast<at::ScalarType>(out)));
    const at::Tensor inverse = at::empty({rows}, x.options());
    const at::Tensor mean = rms ? at::Tensor() : at::empty({rows}, x.options());
    const at::Tensor sum = delta.defined() ? at::empty_like(x) : at::Tensor();
    if (delta.defined()) args.act = ActOf(delta);
    args.out = ActOf(y);
    args.delta = DataOf(delta);
    args.bias = DataOf(bias);
    args.sum = DataOf(sum);
    args.y = y.data_ptr();
    args.mean = DataOf(mean);
    args.inverse = inverse.data_ptr();
    const auto& kernels = KernelsFor(x.scalar_type());
    at::parallel_for(0, rows, kRowGrain,
                     [&](std::int64_t begin, std::int64_t end) { kernels.norm(args, begin, end); });
    ctx->save_for_backward({delta.defined() ? sum : x, weight, mean, inverse});
    ctx->set_materialize_grads(false);
    ctx->saved_data["rms"] = rms;
    ctx->saved_data["plus_one"] = plus_one;
    ctx->saved_data["epsilon"] = epsilon;
    ctx->saved_data["delta"] = delta.defined();
    ctx->saved_data["delta_type"] =
        static_cast<std::int64_t>(delta.defined() ? delta.scalar_type() : x.scalar_type());
    ctx->saved_data["train_weight"] = weight.requires_grad();
    ctx->saved_data["train_bias"] = bias.defined() && bias.requires_grad();
    if (delta.defined()) return {sum, y};
    return {y};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& x = saved[0];
    const bool with_delta = ctx->saved_data["delta"].toBool();
    const at::Tensor dsum = with_delta ? Contiguous(grads[0]) : at::Tensor();
    const at::Tensor dy = Contiguous(grads[with_delta ? 1 : 0]);
    const auto delta_type = static_cast<at::ScalarType>(ctx->saved_data["delta_type"].toInt());
    variable_list out(8);
    if (!dy.defined()) {  // only the sum was used
      out[0] = dsum;
      if (with_delta) out[1] = dsum.to(delta_type);
      return out;
    }
    const std::int64_t rows = x.numel() / x.size(-1);
    const std::int64_t groups = (rows + kNormGroup - 1) / kNormGroup;
    cpu::NormGradArgs args;
    args.forward = NormFunction::Args(x, saved[1], ctx->saved_data["rms"].toBool(),
                                      ctx->saved_data["plus_one"].toBool(),
                                      ctx->saved_data["epsilon"].toDouble());
    args.forward.mean = DataOf(saved[2]);
    args.forward.inverse = saved[3].data_ptr();
    args.forward.out = ActOf(dy);
    const at::Tensor dx = at::empty_like(x);
    at::Tensor ddelta;
    if (with_delta && delta_type != x.scalar_type()) {
      ddelta = at::empty(x.sizes(), x.options().dtype(delta_type));
      args.forward.act = ActOf(ddelta);
    }
    at::Tensor dweight;
    at::Tensor dbias;
    if (ctx->saved_data["train_weight"].toBool())
      dweight = at::zeros({groups, x.size(-1)}, x.options());
    if (ctx->saved_data["train_bias"].toBool())
      dbias = at::zeros({groups, x.size(-1)}, x.options());
    args.dy = dy.data_ptr();
    args.dsum = DataOf(dsum);
    args.dx = dx.data_ptr();
    args.ddelta = DataOf(ddelta);
    args.dweight = DataOf(dweight);
    args.dbias = DataOf(dbias);
    const auto& kernels = KernelsFor(x.scalar_type());
    at::parallel_for(0, groups, 1, [&](std::int64_t begin, std::int64_t end) {
      kernels.norm_grad(args, rows, begin, end);
    });
    out[0] = dx;
    if (with_delta) out[1] = ddelta.defined() ? ddelta : dx;
    if (dweight.defined()) out[2] = dweight.sum(0);
    if (dbias.defined()) out[3] = dbias.sum(0);
    return out;
  }
};

struct GateFunction : public Function<GateFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& given, std::int64_t activation,
                            bool gated) {
    const at::Tensor in = given.contiguous();
    const std::int64_t hidden = gated ? in.size(1) / 2 : in.size(1);
    const at::Tensor out = at::empty({in.size(0), hidden}, in.options());
    cpu::GateArgs args;
    args.hidden = hidden;
    args.curve = CurveOf(static_cast<model::Activation>(activation));
    args.gated = gated;
    args.act = ActOf(in);
    args.in = in.data_ptr();
    args.out = out.data_ptr();
    const auto& kernels = KernelsFor(in.scalar_type());
    at::parallel_for(0, in.size(0), kRowGrain,
                     [&](std::int64_t begin, std::int64_t end) { kernels.gate(args, begin, end); });
    ctx->save_for_backward({in});
    ctx->saved_data["activation"] = activation;
    ctx->saved_data["gated"] = gated;
    return out;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const at::Tensor in = ctx->get_saved_variables()[0];
    const at::Tensor dout = grads[0].contiguous();
    const at::Tensor din = at::empty_like(in);
    cpu::GateArgs args;
    args.hidden = dout.size(1);
    args.curve = CurveOf(static_cast<model::Activation>(ctx->saved_data["activation"].toInt()));
    args.gated = ctx->saved_data["gated"].toBool();
    args.act = ActOf(in);
    args.in = in.data_ptr();
    args.dout = dout.data_ptr();
    args.din = din.data_ptr();
    const auto& kernels = KernelsFor(in.scalar_type());
    at::parallel_for(0, in.size(0), kRowGrain, [&](std::int64_t begin, std::int64_t end) {
      kernels.gate_grad(args, begin, end);
    });
    return {din, at::Tensor(), at::Tensor()};
  }
};

struct DropoutFunction : public Function<DropoutFunction> {
  static at::Tensor Apply(const at::Tensor& in, double p, std::int64_t key) {
    if (!UsesKernels(in)) return reference::Dropout(in, p, static_cast<std::uint64_t>(key));
    const at::Tensor source = in.contiguous();
    const at::Tensor out = at::empty_like(source);
    cpu::DropoutArgs args;
    args.act = ActOf(source);
    args.key = static_cast<std::uint64_t>(key);
    args.p = p;
    args.in = source.data_ptr();
    args.out = out.data_ptr();
    const auto& kernels = KernelsFor(source.scalar_type());
    at::parallel_for(0, source.numel(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
      kernels.dropout(args, begin, end);
    });
    return out;
  }

  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& in, double p,
                            std::int64_t key) {
    ctx->saved_data["p"] = p;
    ctx->saved_data["key"] = key;
    return Apply(in, p, key);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const at::Tensor din =
        Apply(grads[0], ctx->saved_data["p"].toDouble(), ctx->saved_data["key"].toInt());
    return {din, at::Tensor(), at::Tensor()};
  }
};

struct SpreadFunction : public Function<SpreadFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& order,
                            const at::Tensor& inverse, std::int64_t copies) {
    ctx->save_for_backward({inverse});
    ctx->saved_data["copies"] = copies;
    return x.index_select(0, copies == 1 ? order : order.div(copies, "floor"));
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const std::int64_t copies = ctx->saved_data["copies"].toInt();
    at::Tensor dx = grads[0].index_select(0, ctx->get_saved_variables()[0]);
    if (copies > 1) dx = dx.view({-1, copies, dx.size(1)}).sum(1);
    return {dx, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

struct PickFunction : public Function<PickFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& rows) {
    ctx->save_for_backward({rows});
    ctx->saved_data["count"] = x.size(0);
    return x.index_select(0, rows);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const at::Tensor dx =
        at::zeros({ctx->saved_data["count"].toInt(), grads[0].size(1)}, grads[0].options());
    dx.index_copy_(0, ctx->get_saved_variables()[0], grads[0]);
    return {dx, at::Tensor()};
  }
};

// The sum that an embedding's gradient is: in one order, on every device.
at::Tensor SumAt(const at::Tensor& values, const at::Tensor& rows, std::int64_t count) {
  const at::Tensor sums = at::embedding_dense_backward(
      values.to(RealOf(values.scalar_type())).contiguous(), rows, count, -1, false);
  return sums.to(values.scalar_type());
}

struct GatherFunction : public Function<GatherFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& rows) {
    ctx->save_for_backward({rows});
    ctx->saved_data["count"] = x.size(0);
    return x.index_select(0, rows);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const at::Tensor rows = ctx->get_saved_variables()[0];
    return {SumAt(grads[0], rows, ctx->saved_data["count"].toInt()), at::Tensor()};
  }
};

struct SumAtFunction : public Function<SumAtFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& values, const at::Tensor& rows,
                            std::int64_t count) {
    ctx->save_for_backward({rows});
    return SumAt(values, rows, count);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    return {grads[0].index_select(0, ctx->get_saved_variables()[0]), at::Tensor(), at::Tensor()};
  }
};

double SumSquaresHere(const at::Tensor& values) {
  const at::Tensor x = values.contiguous();
  const auto& kernels = KernelsFor(x.scalar_type());
  const std::int64_t blocks = (x.numel() + kElementGrain - 1) / kElementGrain;
  std::vector<double> sums(static_cast<std::size_t>(blocks));
  at::parallel_for(0, blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) {
      const std::int64_t first = block * kElementGrain;
      sums[static_cast<std::size_t>(block)] =
          kernels.sum_squares(x.data_ptr(), first, std::min(first + kElementGrain, x.numel()));
    }
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace

void SetProducts(const Precision& precision) {
  at::globalContext().setAllowTF32CuBLAS(precision.act == at::kBFloat16);
}

at::ScalarType ProductType(bool bf16, at::Device device) {
  return bf16 && (!device.is_cpu() || cpu::MultipliesBf16()) ? at::kBFloat16 : at::kFloat;
}

void SetThreads(std::int64_t threads) {
  at::set_num_threads(threads > 0 ? static_cast<int>(threads) : ThreadPool::DefaultThreads());
}

ReferenceOps::ReferenceOps() { ++reference_guards; }
ReferenceOps::~ReferenceOps() { --reference_guards; }

bool UsesKernels(const at::Tensor& tensor) {
  return reference_guards == 0 && tensor.device().is_cpu();
}

std::int64_t Layout::longest() const {
  std::int64_t most = 0;
  for (std::size_t s = 1; s < starts.size(); ++s) most = std::max(most, starts[s] - starts[s - 1]);
  return most;
}

Normed AddNorm(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight,
               const at::Tensor& bias, const model::NormSpec& norm, at::ScalarType out) {
  if (!UsesKernels(x)) return reference::AddNorm(x, delta, weight, bias, norm, out);
  const variable_list results =
      NormFunction::apply(x, Maybe(delta), weight, Maybe(bias), norm.kind == model::NormKind::kRms,
                          norm.plus_one, norm.epsilon, static_cast<std::int64_t>(out));
  if (results.size() == 1) return {x, results[0]};
  return {results[0], results[1]};
}

at::Tensor Gate(const at::Tensor& in, model::Activation activation, bool gated) {
  if (!UsesKernels(in)) return reference::Gate(in, activation, gated);
  return GateFunction::apply(in, static_cast<std::int64_t>(activation), gated);
}

at::Tensor Dropout(const at::Tensor& in, double p, std::uint64_t key) {
  if (p <= 0) return in;
  return DropoutFunction::apply(in, p, static_cast<std::int64_t>(key));
}

at::Tensor Noise(at::IntArrayRef shape, const at::TensorOptions& options, std::uint64_t key) {
  const at::Tensor signed_bits =
      reference::Draws(c10::multiply_integers(shape), options.device(), key);
  return signed_bits.to(at::kDouble).mul_(0x1.0p-63).view(shape).to(options.dtype());
}

at::Tensor SpreadRows(const at::Tensor& x, const at::Tensor& order, const at::Tensor& inverse,
                      std::int64_t copies) {
  return SpreadFunction::apply(x, order, inverse, copies);
}

at::Tensor PickRows(const at::Tensor& x, const at::Tensor& rows) {
  return PickFunction::apply(x, rows);
}

at::Tensor GatherRows(const at::Tensor& x, const at::Tensor& rows) {
  return GatherFunction::apply(x, rows);
}

at::Tensor SumAtRows(const at::Tensor& values, const at::Tensor& rows, std::int64_t count) {
  return SumAtFunction::apply(values, rows, count);
}

void AdamUpdate(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& first,
                const at::Tensor& second, const at::Tensor& act, const AdamStep& step) {
  if (!UsesKernels(parameter))
    return reference::AdamUpdate(parameter, gradient, first, second, act, step);
  const at::Tensor g = gradient.contiguous();
  cpu::AdamArgs args;
  args.parameter = parameter.data_ptr();
  args.gradient = g.data_ptr();
  args.first = first.data_ptr();
  args.second = second.data_ptr();
  if (act.defined() && act.scalar_type() == at::kBFloat16)
    args.rounded = static_cast<std::uint16_t*>(act.data_ptr());
  args.gradient_scale = step.gradient_scale;
  args.learning_rate = step.learning_rate;
  args.decay = step.decay;
  args.beta1 = step.beta1;
  args.beta2 = step.beta2;
  args.epsilon = step.epsilon;
  args.correction1 = 1 - std::pow(step.beta1, static_cast<double>(step.step));
  args.correction2 = 1 - std::pow(step.beta2, static_cast<double>(step.step));
  const auto& kernels = KernelsFor(parameter.scalar_type());
  at::parallel_for(0, parameter.numel(), kElementGrain,
                   [&](std::int64_t begin, std::int64_t end) { kernels.adam(args, begin, end); });
}

double SumSquares(const std::vector<at::Tensor>& tensors) {
  double total = 0;
  std::vector<at::Tensor> elsewhere;  // waited for once, not for each tensor
  for (const at::Tensor& tensor : tensors) {
    if (tensor.device().is_cpu()) {
      total += SumSquaresHere(tensor);
    } else {
      elsewhere.push_back(
          at::linalg_vector_norm(tensor.detach(), 2, torch::nullopt, false, at::kDouble));
    }
  }
  if (!elsewhere.empty()) total += at::stack(elsewhere).square().sum().item<double>();
  return total;
}

}  // namespace metier::train
