// How a Run (run.h) adds the gradients of a hypernetwork.
//
// A batch mixes tasks, and each sequence is computed with its own task's adapter: the batch is cut
// into one pass a task, whose gradients add up. So a pass has one LoRA, which the network computes
// in the one operation that it has for it (ops.h, Linear), and what is not learned from together
// costs no rank; many small tasks in a batch make small passes.
#include <map>
#include <vector>

#include "base/rng.h"
#include "train/run.h"

namespace metier::train {

// Of one batch of a step; `key` as of Pass. Returns its loss.
double Run::AddHyperGradients(const std::vector<Pack>& packs, const StepShare& share,
                              std::uint64_t key) {
  if (data_->items() > 0) {
    std::vector<std::int64_t> items;
    for (const Pack& pack : packs) items.push_back(pack.front().example);
    const at::Tensor loss =
        model_->hyper()->Distance(items, tally_.reconstruction) * share.prediction;
    loss.backward();
    return loss.item<double>();
  }
  const Reading& train = data_->train();
  std::map<std::size_t, Pack> own;  // of each task
  for (const Pack& pack : packs)
    for (const Piece& piece : pack) own[train.corpus.SourceOf(piece.example)].push_back(piece);
  double sum = 0;
  for (const auto& [task, pieces] : own) {
    const Batch batch = data_->MakeBatch(train, {pieces}, Device());
    const std::uint64_t draw = Rng(key, task).Next() | 1;
    const RunModel::Written written(*model_, static_cast<std::int64_t>(task), draw);
    const Network& network = model_->network();
    at::Tensor loss = objective_.Loss(network, batch, share, draw, tally_);
    if (config_.hyper->generated_l2 > 0) {
      const double weight = share.prediction * static_cast<double>(batch.counted);
      loss = loss + MeanSquare(network.lora()) * (config_.hyper->generated_l2 * weight);
    }
    loss.backward();
    sum += loss.item<double>();
    state_.tokens += batch.read;
  }
  return sum;
}

}  // namespace metier::train
