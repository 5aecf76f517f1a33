// train/hyper_tasks.h - the tasks that a hypernetwork learns from: their descriptions, as the base
// reads them, and of a reconstruction their adapters.
//
// A task that has several descriptions is learned by one of them at a time, drawn anew for each
// batch; evaluations use the first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "recipe/train_config.h"
#include "train/hypernetwork.h"
#include "train/network.h"
#include "train/objective.h"
#include "train/torch.h"

namespace metier::train {

class HyperTasks {
 public:
  // Of a checkpoint, or of config.hyper->hypernetwork, or new. `base` has nothing on it; its model
  // has this hash. kInvalidArgument: descriptions without ids; a hypernetwork of another base or
  // shape; adapters that are not as config.hyper says (LoraSet::Continue). Other errors:
  // Hypernetwork::Create and Load.
  static Result<HyperTasks> Open(const recipe::TrainConfig& config,
                                 const std::optional<std::string>& checkpoint, const Network& base,
                                 const std::string& base_hash);

  const Hypernetwork& hypernetwork() const { return hypernetwork_; }

  // The adapter of a task, by the description that the key draws (0: the first); differentiable in
  // the hypernetwork.
  LoraSet AdapterOf(std::size_t task, std::uint64_t key) const;

  // Of a reconstruction, whose items are pairs of a task and one of its descriptions, numbered
  // through: the sum over these items of the distance (recipe::HyperConfig) between what is written
  // and the task's adapter. Real scalar.
  at::Tensor Distance(const std::vector<std::int64_t>& items, ReconstructionCounts& counts) const;

 private:
  explicit HyperTasks(Hypernetwork hypernetwork) : hypernetwork_(std::move(hypernetwork)) {}
  Status ReadDescriptions(const recipe::HyperConfig& config, const Network& base);
  Status LoadAdapters(const recipe::HyperConfig& config, const Network& base);

  Hypernetwork hypernetwork_;
  std::vector<at::Tensor> descriptions_;                 // of each task, real [descriptions, width]
  at::Tensor items_;                                     // all of them, one behind the other
  std::vector<std::int64_t> item_tasks_;                 // whose each is
  std::vector<std::vector<LoraSet::Factors>> adapters_;  // of each task, by module
  bool squares_ = false;                                 // l2
};

// Penalty on the size of what is written: the mean square of its numbers.
at::Tensor MeanSquare(const LoraSet& adapter);

// Descriptions of all tasks: the items of a reconstruction.
std::int64_t CountDescriptions(const recipe::HyperConfig& config);

// kInvalidArgument: the hypernetwork in `folder` was trained on a base of another hash than
// `found`, the one of `model`.
Status CheckBase(const model::HyperFiles& config, const std::string& folder,
                 const std::string& model, const std::string& found);

}  // namespace metier::train
