#include "train/distillation.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "train/cpu_types.h"

namespace metier::train {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// CE of each row against a class each, times its share; adds the gradient by the logits to `d`.
at::Tensor AddClassTerm(const at::Tensor& log_p, const at::Tensor& classes, double share,
                        at::Tensor& d) {
  const at::Tensor at = classes.unsqueeze(1);
  d.add_(log_p.exp(), share);
  d.scatter_add_(1, at, at::full({classes.size(0), 1}, -share, d.options()));
  return log_p.gather(1, at).squeeze(1) * -share;
}

// Sums of the probabilities of both models over rows; real [vocab].
struct Spread {
  at::Tensor own;
  at::Tensor taught;

  void Add(const at::Tensor& logits, const at::Tensor& teacher_logits, const at::Tensor& weights,
           double temperature) {
    const at::ScalarType real = RealOf(logits.scalar_type());
    const at::Tensor counts = (weights > 0).to(real);
    const auto sum = [&](const at::Tensor& scores) {
      return at::matmul(counts, at::softmax(scores.to(real), -1));
    };
    const at::Tensor more_own = sum(logits);
    const at::Tensor more_taught = sum(teacher_logits.to(real) / temperature);
    own = own.defined() ? own + more_own : more_own;
    taught = taught.defined() ? taught + more_taught : more_taught;
  }
  // What moves log p so that guesses are spread as the teacher's are.
  at::Tensor Shift() const {
    constexpr double kLeast = 1e-30;  // where both are 0, nothing moves
    return (taught + kLeast).log() - (own + kLeast).log();
  }
};

// Losses of some rows, real [rows]; `logits` become what they are differentiated to. `shift`: of
// Spread, or undefined where terms.own is 0.
at::Tensor DistilledRows(at::Tensor& logits, const at::Tensor& teacher_logits,
                         const at::Tensor& targets, const at::Tensor& weights,
                         const at::Tensor& shift, const DistillTerms& terms) {
  const at::ScalarType real = RealOf(logits.scalar_type());
  const at::Tensor wide = logits.to(real);
  const at::Tensor log_p = at::log_softmax(wide, -1);
  at::Tensor d = at::zeros_like(wide);
  at::Tensor losses = AddClassTerm(log_p, targets, terms.labels, d);
  if (terms.own > 0) losses += AddClassTerm(log_p, (log_p + shift).argmax(-1), terms.own, d);
  const double t = terms.temperature;
  const at::Tensor log_taught = at::log_softmax(teacher_logits.to(real) / t, -1);
  const at::Tensor log_own = t == 1 ? log_p : at::log_softmax(wide / t, -1);
  const at::Tensor taught = log_taught.exp();
  losses += (taught * (log_taught - log_own)).sum(-1) * (terms.teacher * t * t);
  d.add_(log_own.exp() - taught, terms.teacher * t);
  logits = (d * weights.unsqueeze(1)).to(logits.scalar_type());
  return losses * weights;
}

// Rows whose logits, of both models and in several copies, are at hand at once.
std::int64_t RowsAtOnce(const Weight& head) {
  constexpr std::int64_t kCopies = 8;
  const std::int64_t row = head.rows() * static_cast<std::int64_t>(sizeof(float)) * kCopies;
  return std::max<std::int64_t>(1, kHeadBytes / row);
}

struct DistilledFunction : public Function<DistilledFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const MaybeTensor& master,
                            const Weight& head, const at::Tensor& teacher_hidden,
                            const Weight& teacher_head, const at::Tensor& targets,
                            const at::Tensor& weights,
                            const std::shared_ptr<const DistillTerms>& terms) {
    const at::Tensor in = x.to(head.type());
    const at::Tensor taught = teacher_hidden.to(teacher_head.type());
    const at::ScalarType real = RealOf(head.type());
    const bool train_head = TensorOr(master).defined() && master->requires_grad();
    const at::Tensor dx = at::empty_like(in);
    at::Tensor dhead;
    at::Tensor total = at::zeros({}, in.options().dtype(real));
    const std::int64_t chunk = RowsAtOnce(head);
    at::Tensor shift;
    if (terms->own > 0) {
      Spread spread;
      for (std::int64_t begin = 0; begin < in.size(0); begin += chunk) {
        const std::int64_t count = std::min(chunk, in.size(0) - begin);
        spread.Add(Multiply(in.narrow(0, begin, count), head),
                   Multiply(taught.narrow(0, begin, count), teacher_head),
                   weights.narrow(0, begin, count), terms->temperature);
      }
      if (in.size(0) > 0) shift = spread.Shift();
    }
    for (std::int64_t begin = 0; begin < in.size(0); begin += chunk) {
      const std::int64_t count = std::min(chunk, in.size(0) - begin);
      const at::Tensor part = in.narrow(0, begin, count);
      at::Tensor logits = Multiply(part, head);
      total += DistilledRows(logits, Multiply(taught.narrow(0, begin, count), teacher_head),
                             targets.narrow(0, begin, count), weights.narrow(0, begin, count),
                             shift, *terms)
                   .sum();
      at::Tensor out = dx.narrow(0, begin, count);
      MultiplyBack(logits, head, out);
      if (!train_head) continue;
      const at::Tensor more = at::mm(logits.t(), part).to(real);
      dhead = dhead.defined() ? dhead.add_(more) : more;
    }
    ctx->save_for_backward({dx.to(x.scalar_type()), dhead});
    return total;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    variable_list out(8);
    for (std::size_t i = 0; i < 2; ++i)
      if (saved[i].defined()) out[i] = (saved[i] * grads[0]).to(saved[i].scalar_type());
    return out;
  }
};

}  // namespace

at::Tensor DistilledHeadLoss(const at::Tensor& hidden, const Weight& head,
                             const TeacherRows& teacher, const at::Tensor& targets,
                             const at::Tensor& weights, const DistillTerms& terms) {
  return DistilledFunction::apply(hidden, Maybe(head.master), head, teacher.hidden, teacher.head,
                                  targets, weights, std::make_shared<const DistillTerms>(terms));
}

}  // namespace metier::train
