#include "train/policy.h"

#include <cmath>
#include <utility>

namespace metier::train {
namespace {

// As for the products of token files (run_data.cc): few sizes.
constexpr std::int64_t kPolicyMultiple = 64;

double MeanReward(const RolloutGroup& group) {
  double sum = 0;
  for (const Rollout& rollout : group) sum += rollout.reward;
  return sum / static_cast<double>(group.size());
}

double Deviation(const RolloutGroup& group) {
  const double mean = MeanReward(group);
  double squares = 0;
  for (const Rollout& rollout : group) squares += (rollout.reward - mean) * (rollout.reward - mean);
  return std::sqrt(squares / static_cast<double>(group.size() - 1));
}

void CountGroup(const RolloutGroup& group, PolicyCounts& counts) {
  const double deviation = Deviation(group);
  counts.groups += 1;
  counts.deviation += deviation;
  counts.silent += deviation == 0 ? 1 : 0;
  for (const Rollout& rollout : group) {
    counts.answers += 1;
    counts.reward += rollout.reward;
    counts.tokens += static_cast<double>(rollout.tokens.size());
    counts.ended += rollout.ended ? 1 : 0;
  }
}

// One number for each prediction of a batch.
class Rows {
 public:
  void Add(double value, std::size_t count) { values_.insert(values_.end(), count, value); }
  void Add(const std::vector<double>& values) {
    values_.insert(values_.end(), values.begin(), values.end());
  }
  at::Tensor Build(at::Device device) const {
    return torch::tensor(values_, at::kFloat).to(device);
  }

 private:
  std::vector<double> values_;
};

}  // namespace

std::vector<double> Advantages(const RolloutGroup& group, bool scale) {
  constexpr double kLeast = 1e-4;
  const double mean = MeanReward(group);
  const double divisor = scale ? Deviation(group) + kLeast : 1;
  std::vector<double> advantages;
  for (const Rollout& rollout : group) advantages.push_back((rollout.reward - mean) / divisor);
  return advantages;
}

PolicyBatch MakePolicyBatch(const recipe::GrpoConfig& config,
                            const std::vector<PromptedGroup>& groups, double share,
                            at::Device device, PolicyCounts& counts) {
  BatchBuilder builder;
  Rows weights;
  Rows all_advantages;
  Rows references;
  for (const auto& [prompt, group] : groups) {
    CountGroup(*group, counts);
    const std::vector<double> advantages = Advantages(*group, config.scale_rewards);
    const double of_answer = share / static_cast<double>(group->size());
    for (std::size_t i = 0; i < group->size(); ++i) {
      const Rollout& rollout = (*group)[i];
      const std::size_t length = rollout.tokens.size();
      if (length == 0) continue;
      for (const std::int32_t id : prompt) builder.Add(id, BatchBuilder::Role::kRead);
      for (const std::int32_t id : rollout.tokens) builder.Add(id, BatchBuilder::Role::kPredicted);
      builder.EndSequence();
      const double divisor = config.loss_type == "grpo"
                                 ? static_cast<double>(length)
                                 : static_cast<double>(config.max_completion_length);
      weights.Add(of_answer / divisor, length);
      all_advantages.Add(advantages[i], length);
      references.Add(rollout.reference);
    }
  }
  PolicyBatch policy;
  policy.batch = std::move(builder).Build(device, kPolicyMultiple);
  policy.weights = weights.Build(device);
  policy.advantages = all_advantages.Build(device);
  if (config.beta > 0) policy.references = references.Build(device);
  return policy;
}

at::Tensor PolicyLoss(const recipe::GrpoConfig& config, const PolicyBatch& batch,
                      const at::Tensor& all, PolicyCounts& counts) {
  const at::Tensor log_probs = all.narrow(0, 0, batch.batch.counted);
  const at::Tensor weights = batch.weights.to(log_probs.options().requires_grad(false));
  const at::Tensor ratio = (log_probs - log_probs.detach()).exp();
  at::Tensor gain = ratio * batch.advantages.to(weights.options());
  counts.predictions += static_cast<double>(batch.batch.counted);
  if (config.beta > 0) {
    const at::Tensor log_ratio = batch.references.to(weights.options()) - log_probs;
    const at::Tensor divergence = log_ratio.exp() - log_ratio - 1;
    gain = gain - config.beta * divergence;
    counts.divergence += divergence.detach().sum().item<double>();
  }
  return -(weights * gain).sum();
}

}  // namespace metier::train
