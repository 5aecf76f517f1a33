#include "train/edit_value.h"

#include <fmt/format.h>

#include <cmath>

#include "train/ops.h"

namespace metier::train {

ValueObjective::ValueObjective(const Network& network, const FactBatch& facts, std::int64_t layer,
                               double length, const recipe::EditConfig& config)
    : network_(network), facts_(facts), layer_(layer), length_(length), config_(config) {
  const torch::NoGradGuard no_grad;
  const at::Tensor none = at::zeros(
      {network.spec().width},
      at::TensorOptions().dtype(network.options().precision.real).device(network.options().device));
  essence_ = LogProbabilities(none)[-1].clone();
}

at::Tensor ValueObjective::LogProbabilities(const at::Tensor& change) const {
  Pass pass;
  pass.rows = facts_.batch.predicting;
  pass.down = [&](const DownSite& site) {
    if (site.layer != layer_) return site.output;
    const at::Tensor moved = change.to(site.output.scalar_type()).unsqueeze(0);
    const at::Tensor rows = moved.expand({facts_.subjects.size(0), change.size(0)});
    return site.output + SumAtRows(rows, facts_.subjects, site.output.size(0));
  };
  return at::log_softmax(network_.Logits(facts_.batch, pass), 1);
}

at::Tensor ValueObjective::operator()(const at::Tensor& change) const {
  const at::Tensor log_p = LogProbabilities(change);
  const std::int64_t targets = log_p.size(0) - 1;
  const at::Tensor wanted = facts_.batch.targets.narrow(0, 0, targets).unsqueeze(1);
  const at::Tensor said = log_p.narrow(0, 0, targets).gather(1, wanted).view({facts_.contexts, -1});
  const at::Tensor surprise = -at::dot(said.mean(1), facts_.weights.to(said.scalar_type()));
  const at::Tensor essence = log_p[targets];
  const at::Tensor divergence = (essence.exp() * (essence - essence_)).sum();
  return surprise + divergence * config_.kl +
         change.square().sum() * (config_.decay / (length_ * length_));
}

Result<EditValue> FindValue(
    const Network& network, const FactBatch& facts, std::int64_t layer, const at::Tensor& stream,
    const recipe::EditConfig& config,
    const std::function<bool(std::int64_t step, double objective)>& on_step) {
  const auto length = at::linalg_vector_norm(stream).item<double>();
  const ValueObjective objective(network, facts, layer, length, config);
  const auto options =
      at::TensorOptions().dtype(network.options().precision.real).device(network.options().device);
  const std::int64_t width = stream.size(0);
  EditValue found;
  found.change = at::zeros({width}, options).requires_grad_(true);
  const at::Tensor values = found.change.detach();  // the same memory
  const at::Tensor first = at::zeros({width}, options);
  const at::Tensor second = at::zeros({width}, options);
  AdamStep adam;
  adam.learning_rate = config.learning_rate * length / std::sqrt(static_cast<double>(width));
  for (;; ++found.steps) {
    const at::Tensor loss = objective(found.change);
    found.objective = loss.item<double>();
    if (!std::isfinite(found.objective)) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("the objective of a fact's value became {} in layer {} after {} "
                               "steps; lower learning_rate or choose another layer",
                               found.objective, layer, found.steps));
    }
    if (on_step(found.steps, found.objective))
      return Error(ErrorCode::kInvalidArgument, "interrupted; nothing was written");
    if (found.steps == config.steps || found.objective < config.until) break;
    const at::Tensor gradient = torch::autograd::grad({loss}, {found.change})[0];
    const torch::NoGradGuard no_grad;
    adam.step = found.steps + 1;
    AdamUpdate(values, gradient, first, second, at::Tensor(), adam);
    const auto moved = at::linalg_vector_norm(values).item<double>();
    if (moved > config.clamp * length) values.mul_(config.clamp * length / moved);
  }
  found.change = values;
  return found;
}

}  // namespace metier::train
