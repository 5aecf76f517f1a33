// train/edit_value.h - the value of a new fact: what a feed-forward has to add at the subject's
// last token so that the network says the target (Meng et al. 2022, arXiv 2202.05262, equation 4).
//
//   L(d) = mean over contexts (by weight) and target tokens of -ln p(target | d added at the
//   subject)
//        + kl * KL(p(. | essence, d) || p(. | essence)) + decay * |d|^2 / |h|^2
//
// h, the hidden state that d is added to, measures lengths: of a change, of Adam's steps and of how
// far they may lead, so that the settings mean the same for networks of every scale.
#pragma once

#include <cstdint>
#include <functional>

#include "base/result.h"
#include "recipe/edit_config.h"
#include "train/fact_batch.h"
#include "train/torch.h"

namespace metier::train {

// L as a function of d. Borrows network and batch.
class ValueObjective {
 public:
  // `length`: |h|. Computes what the network says of the essence now.
  ValueObjective(const Network& network, const FactBatch& facts, std::int64_t layer, double length,
                 const recipe::EditConfig& config);

  // real scalar, differentiable in `change`, real [width].
  at::Tensor operator()(const at::Tensor& change) const;

 private:
  // ln p of the batch's rows with `change` added, real [rows, vocab].
  at::Tensor LogProbabilities(const at::Tensor& change) const;

  const Network& network_;
  const FactBatch& facts_;
  std::int64_t layer_;
  double length_;
  const recipe::EditConfig& config_;
  at::Tensor essence_;  // real [vocab]: ln p before
};

struct EditValue {
  at::Tensor change;     // d, real [width]
  double objective = 0;  // L(d)
  std::int64_t steps = 0;
};

// Adam from d = 0 until config.until or for config.steps steps. `stream`: h, double [width].
// `on_step` returns true to end, which is then kInvalidArgument. kDataCorrupt: an objective that is
// not finite.
Result<EditValue> FindValue(
    const Network& network, const FactBatch& facts, std::int64_t layer, const at::Tensor& stream,
    const recipe::EditConfig& config,
    const std::function<bool(std::int64_t step, double objective)>& on_step);

}  // namespace metier::train
