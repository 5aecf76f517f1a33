#include "train/evaluation.h"

#include <utility>
#include <vector>

#include "train/schedule.h"

namespace metier::train {
namespace {

// Hands out the packs of a reading in batches; returns false where `take` did.
template <class Take>
bool ForEachBatch(const Reading& reading, const PackingOptions& packing,
                  const recipe::TrainConfig& config, Take&& take) {
  PackReader reader(reading.corpus, packing, 0, 0);
  std::vector<Pack> packs;
  for (Pack pack = reader.Next();; pack = reader.Next()) {
    const bool end = pack.empty();
    if (!end) packs.push_back(std::move(pack));
    if (packs.empty()) return true;
    if (!end && static_cast<std::int64_t>(packs.size()) < recipe::BatchSize(config)) continue;
    if (!take(packs)) return false;
    packs.clear();
    if (end) return true;
  }
}

}  // namespace

void AddRewards(const RewardCounts& rewards, const std::string& prefix, Json& metrics) {
  if (rewards.all == 0) return;
  const auto count = static_cast<double>(rewards.all);
  metrics[prefix + "rewards/accuracies"] = static_cast<double>(rewards.right) / count;
  metrics[prefix + "rewards/margins"] = rewards.margin / count;
}

void AddPolicy(const PolicyCounts& counts, const recipe::TrainConfig& config, Json& metrics) {
  if (counts.answers == 0) return;
  metrics["reward"] = counts.reward / counts.answers;
  metrics["reward_std"] = counts.deviation / counts.groups;
  metrics["frac_reward_zero_std"] = counts.silent / counts.groups;
  metrics["completions/mean_length"] = counts.tokens / counts.answers;
  metrics["completions/clipped_ratio"] = 1 - counts.ended / counts.answers;
  if (config.grpo->beta > 0 && counts.predictions > 0)
    metrics["kl"] = counts.divergence / counts.predictions;
}

double GeneralLoss(RunModel& model, const RunData& data, const Objective& objective,
                   const recipe::TrainConfig& config) {
  const torch::NoGradGuard no_grad;
  const RunModel::Averaged averaged(model);
  const Network& network = model.network();
  Tally tally;
  double loss = 0;
  ForEachBatch(
      data.general(), GeneralPackingOf(config), config, [&](const std::vector<Pack>& batch) {
        const Batch tokens = data.MakeBatch(data.general(), batch, network.options().device);
        loss += objective.TextLoss(network, tokens, tally).item<double>();
        return true;
      });
  return loss / static_cast<double>(data.general().counts.predictions);
}

std::optional<Json> Evaluate(RunModel& model, const RunData& data, const Objective& objective,
                             const recipe::TrainConfig& config, const OnPacks& on_packs) {
  const torch::NoGradGuard no_grad;
  const RunModel::Averaged averaged(model);
  const Network& network = model.network();
  std::int64_t packs = 0;
  for (const Reading& reading : data.evals()) packs += reading.counts.packs;
  Json metrics = {{"eval_loss", 0}};
  Tally tally;
  double sum = 0;
  std::int64_t done = 0;
  for (const Reading& reading : data.evals()) {
    double loss = 0;
    const RunModel::Written written(model, reading.domains.front(), /*key=*/0);
    const bool went_on =
        ForEachBatch(reading, EvalPackingOf(config), config, [&](const std::vector<Pack>& batch) {
          const Batch tokens = data.MakeBatch(reading, batch, network.options().device);
          loss += objective.EvalLoss(network, tokens, tally).item<double>();
          done += static_cast<std::int64_t>(batch.size());
          return !on_packs(done, packs) || done == packs;
        });
    if (!went_on) return std::nullopt;
    loss /= static_cast<double>(reading.Units(config));
    sum += loss;
    if (!reading.name.empty()) metrics["eval_loss_" + reading.name] = loss;
  }
  metrics["eval_loss"] = sum / static_cast<double>(data.evals().size());
  const RoutingCounts& routing = tally.routing;
  if (routing.all > 0) {
    metrics["eval_router_accuracy"] =
        static_cast<double>(routing.right) / static_cast<double>(routing.all);
  }
  AddRewards(tally.rewards, "eval_", metrics);
  return metrics;
}

}  // namespace metier::train
