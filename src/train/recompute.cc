#include "train/recompute.h"

#include <utility>

namespace metier::train {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct KeptPart : torch::CustomClassHolder {
  KeptPart(StreamsPart what, bool delta) : part(std::move(what)), has_delta(delta) {}
  // Autograd takes no undefined tensors: another stands in the place of no delta.
  Streams Run(const at::Tensor& x, const at::Tensor& delta) const {
    return part({x, has_delta ? delta : at::Tensor()});
  }
  StreamsPart part;
  bool has_delta;
};

class RecomputeFunction : public torch::autograd::Function<RecomputeFunction> {
 public:
  // `anchor` learns nothing: it makes what comes out part of the graph where the parameters alone
  // learn, and nothing that goes in.
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& delta,
                               const at::Tensor& /*anchor*/, c10::intrusive_ptr<KeptPart> kept) {
    ctx->save_for_backward({x, delta});
    const Streams out = kept->Run(x, delta);
    ctx->saved_data["part"] = c10::IValue::make_capsule(std::move(kept));
    return out.delta.defined() ? variable_list{out.x, out.delta} : variable_list{out.x};
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const auto kept =
        c10::static_intrusive_pointer_cast<KeptPart>(ctx->saved_data["part"].toCapsule());
    const torch::AutoGradMode with_gradients(true);
    const auto fresh = [](const at::Tensor& tensor) {
      return tensor.detach().requires_grad_(tensor.requires_grad());
    };
    const at::Tensor x = fresh(saved[0]);
    const at::Tensor delta = fresh(saved[1]);
    const Streams out = kept->Run(x, delta);
    variable_list roots;
    variable_list root_grads;
    const at::Tensor outputs[] = {out.x, out.delta};
    for (std::size_t i = 0; i < grads.size(); ++i) {
      if (!grads[i].defined() || !outputs[i].requires_grad()) continue;
      roots.push_back(outputs[i]);
      root_grads.push_back(grads[i]);
    }
    torch::autograd::backward(roots, root_grads);
    return {x.grad(), delta.grad(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

Streams Recomputed(StreamsPart part, const Streams& in) {
  const at::Tensor none = at::zeros({1}, in.x.options().requires_grad(false));
  const at::Tensor anchor = at::zeros_like(none).requires_grad_(true);
  const bool has_delta = in.delta.defined();
  const variable_list out =
      RecomputeFunction::apply(in.x, has_delta ? in.delta : none, anchor,
                               c10::make_intrusive<KeptPart>(std::move(part), has_delta));
  return {out[0], out.size() > 1 ? out[1] : at::Tensor()};
}

}  // namespace metier::train
