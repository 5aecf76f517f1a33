#include "train/preference.h"

#include <vector>

namespace metier::train {
namespace {

// Sequences of one judgement, in order: int64 [count].
at::Tensor Judged(const Batch& batch, format::Judgement judgement) {
  std::vector<std::int64_t> index;
  for (std::size_t s = 0; s < batch.judgements.size(); ++s)
    if (batch.judgements[s] == judgement) index.push_back(static_cast<std::int64_t>(s));
  return torch::tensor(index, at::kLong).to(batch.tokens.device());
}

// ln of the odds of a mean of ln p: m - ln(1 - exp(m)).
at::Tensor LogOdds(const at::Tensor& means) {
  // 1 - exp(m) is 0 for an answer that is certain; its odds are bounded by what the type can tell
  // from 1.
  const double least = means.scalar_type() == at::kDouble ? 1e-15 : 1e-7;
  return means - at::log(at::clamp_min(-at::expm1(means), least));
}

void Count(const at::Tensor& margins, RewardCounts* counts) {
  if (counts == nullptr) return;
  counts->right += margins.gt(0).sum().item<std::int64_t>();
  counts->all += margins.numel();
  counts->margin += margins.sum().item<double>();
}

}  // namespace

AnswerScores ScoreAnswers(const at::Tensor& log_probs, const Batch& batch) {
  const auto sequences = static_cast<std::int64_t>(batch.layout.starts.size()) - 1;
  // A product with ones, so that sums are taken in a fixed order on every device.
  const at::Tensor of = at::zeros({sequences, log_probs.size(0)}, at::kDouble);
  auto* shares = of.data_ptr<double>();
  std::vector<double> counts(static_cast<std::size_t>(sequences));
  for (std::size_t row = 0; row < batch.row_sequences.size(); ++row) {
    const std::int64_t sequence = batch.row_sequences[row];
    shares[sequence * log_probs.size(0) + static_cast<std::int64_t>(row)] = 1;
    counts[static_cast<std::size_t>(sequence)] += 1;
  }
  AnswerScores scores;
  scores.sums = at::mv(of.to(log_probs.options()), log_probs);
  const at::Tensor lengths = torch::tensor(counts, at::kDouble).clamp_min_(1);
  scores.means = scores.sums / lengths.to(log_probs.options());
  return scores;
}

at::Tensor PreferenceLoss(const recipe::TrainConfig& config, const AnswerScores& scores,
                          const Batch& batch, double shift, RewardCounts* counts) {
  const at::Tensor good = Judged(batch, format::Judgement::kGood);
  const at::Tensor bad = Judged(batch, format::Judgement::kBad);
  const double beta = config.pref_beta;
  if (config.stage == "orpo") {
    const at::Tensor good_means = scores.means.index_select(0, good);
    const at::Tensor bad_means = scores.means.index_select(0, bad);
    Count(beta * (good_means - bad_means).detach(), counts);
    const at::Tensor odds = LogOdds(good_means) - LogOdds(bad_means);
    return (-good_means - beta * at::log_sigmoid(odds)).sum();
  }
  const at::Tensor rewards = beta * (scores.sums - batch.references.to(scores.sums.options()));
  const at::Tensor good_rewards = rewards.index_select(0, good);
  const at::Tensor bad_rewards = rewards.index_select(0, bad);
  if (config.stage == "kto") {
    Count(at::cat({good_rewards, -bad_rewards}).detach(), counts);
    const at::Tensor desired = 1 - at::sigmoid(good_rewards - beta * shift);
    const at::Tensor undesired = 1 - at::sigmoid(beta * shift - bad_rewards);
    return config.kto_chosen_weight * desired.sum() + config.kto_rejected_weight * undesired.sum();
  }
  const at::Tensor margins = good_rewards - bad_rewards;
  Count(margins.detach(), counts);
  const double smoothing = config.dpo_label_smoothing;
  at::Tensor losses = -(1 - smoothing) * at::log_sigmoid(margins);
  if (smoothing > 0) losses = losses - smoothing * at::log_sigmoid(-margins);
  if (config.pref_ftx > 0) losses = losses - config.pref_ftx * scores.means.index_select(0, good);
  return losses.sum();
}

}  // namespace metier::train
