// train/optimizer.h - AdamW over a network's trainables, with its state on disk.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "recipe/train_config.h"
#include "train/network.h"
#include "train/tensor_file.h"
#include "train/torch.h"

namespace metier::train {

class Optimizer {
 public:
  Optimizer(std::vector<Trainable> trainables, const recipe::TrainConfig& config);

  // Euclidean length of all gradients together; not finite when one of them is not. Trainables
  // that no gradient reached (experts nobody chose) count as 0.
  double GradientNorm() const;

  // One step (counted from 1) with gradients scaled by `gradient_scale`, which are freed
  // afterwards.
  void Step(std::int64_t step, double learning_rate, double gradient_scale);

  void DropGradients();

  // Moments as F32 safetensors: "first.<name>", "second.<name>".
  Status Save(const std::string& path) const;
  // kDataCorrupt: not of these trainables.
  Status Load(const std::string& path);

  const std::vector<Trainable>& trainables() const { return trainables_; }

 private:
  double RateOf(const Trainable& trainable) const;
  std::vector<NamedTensor> Moments() const;

  std::vector<Trainable> trainables_;
  std::vector<at::Tensor> first_;
  std::vector<at::Tensor> second_;
  AdamStep settings_;
  double decay_ = 0;
  // Of the learning rate.
  double lora_b_rate_ = 1;  // LoRA+ (Hayou et al. 2024, section 4)
  double embedding_rate_ = 1;
};

}  // namespace metier::train
