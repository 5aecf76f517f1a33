// train/run_model.h - what a run trains: a network with its adapter, or what writes adapters for
// it, and its optimiser, where they come from and how they are written.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "recipe/train_config.h"
#include "train/gradient_buckets.h"
#include "train/hyper_tasks.h"
#include "train/model_source.h"
#include "train/network.h"
#include "train/optimizer.h"
#include "train/weight_average.h"
#include "train/workers.h"

namespace metier::train {

class RunModel {
 public:
  // Of a checkpoint where one is given: the weights are then its own. Keeps the configuration by
  // reference. Of several workers all call it, and all begin with the weights of worker 0, which
  // alone has a checkpoint; borrows them. kUnsupported: an encoder without a head.
  // kInvalidArgument: sequences longer than the model takes; a checkpoint of another network; a
  // device that is not there.
  static Result<RunModel> Open(const recipe::TrainConfig& config,
                               const std::optional<std::string>& checkpoint, Workers& workers);
  // The same of a model that need not be the configuration's. `hash`: HashModel of it.
  static Result<RunModel> OpenOn(ModelSource source, std::string hash,
                                 const recipe::TrainConfig& config,
                                 const std::optional<std::string>& checkpoint, Workers& workers);

  const ModelSource& source() const { return source_; }
  const std::string& base_hash() const { return base_hash_; }  // "" of a random model
  const Network& network() const { return *network_; }
  Optimizer& optimizer() { return *optimizer_; }
  // Where a hypernetwork learns, or nullptr.
  const HyperTasks* hyper() const { return hyper_ ? &*hyper_ : nullptr; }
  // Of a distillation, or nullptr.
  const Network* teacher() const { return teacher_ ? &*teacher_ : nullptr; }
  const std::string& teacher_hash() const { return teacher_hash_; }

  // Of several workers, else null: where a step's gradients are summed.
  GradientBuckets* buckets() { return buckets_.get(); }

  // Updates the weights, of all workers, and their average where one is kept. `step` counts from 1.
  Status Step(std::int64_t step, double learning_rate, double gradient_scale);

  // SHA-256 of everything that is trained; cost: a pass over it.
  std::string HashTrainables() const;

  // While one lives, the network has the average of its weights, where one is kept.
  class Averaged {
   public:
    explicit Averaged(RunModel& model) : average_(model.average_ ? &*model.average_ : nullptr) {
      if (average_ != nullptr) average_->Swap();
    }
    ~Averaged() {
      if (average_ != nullptr) average_->Swap();
    }
    Averaged(const Averaged&) = delete;
    Averaged& operator=(const Averaged&) = delete;

   private:
    WeightAverage* average_;
  };

  // While one lives, the network has the adapter that the hypernetwork writes for a task
  // (HyperTasks::AdapterOf); without a hypernetwork nothing changes.
  class Written {
   public:
    Written(RunModel& model, std::int64_t task, std::uint64_t key)
        : network_(model.hyper_ ? &*model.network_ : nullptr) {
      if (network_ != nullptr)
        network_->SetLora(model.hyper_->AdapterOf(static_cast<std::size_t>(task), key));
    }
    ~Written() {
      if (network_ != nullptr) network_->SetLora(LoraSet());
    }
    Written(const Written&) = delete;
    Written& operator=(const Written&) = delete;

   private:
    Network* network_;
  };

  // Weights in F32, the average and the state of the optimiser (after Optimizer::Collect).
  Status SaveCheckpoint(const std::string& folder);
  // Of a checkpoint, what is no weight. Of several workers all call it, and worker 0 reads.
  Status LoadOptimizer(const std::string& checkpoint);

  // The model, or the adapter, in the type that the configuration asks for, with its tokenizer:
  // the mean of what these checkpoints hold, or without any the weights as they are.
  Status WriteFinal(const std::string& folder, const std::vector<std::string>& checkpoints) const;

 private:
  RunModel(const recipe::TrainConfig& config, Workers& workers)
      : config_(config), workers_(workers) {}
  Status BuildNetwork(const std::optional<std::string>& checkpoint);
  Status AgreeOnSources() const;
  Status ShareFirstWeights() const;
  Status CheckSpec() const;
  // What the optimiser moves.
  std::vector<Trainable> Trainables() const;
  Status AddAdapter(const std::optional<std::string>& checkpoint);
  Status AddSingularValues(const std::optional<std::string>& checkpoint);
  Status AddPrefix(const std::optional<std::string>& checkpoint);
  Status AddMixture(const std::optional<std::string>& checkpoint);
  Status AddHypernetwork(const std::optional<std::string>& checkpoint);
  Status AddTeacher();
  Status WriteWeights(const std::string& folder, tensor::DType dtype) const;
  Status WriteMean(const std::string& folder, tensor::DType dtype,
                   const std::vector<std::string>& checkpoints) const;

  const recipe::TrainConfig& config_;
  Workers& workers_;
  ModelSource source_;
  std::string base_hash_;
  std::optional<Network> network_;
  std::optional<HyperTasks> hyper_;
  std::optional<Network> teacher_;
  std::string teacher_hash_;
  std::unique_ptr<GradientBuckets> buckets_;
  std::optional<Optimizer> optimizer_;
  std::optional<WeightAverage> average_;  // of worker 0
};

}  // namespace metier::train
