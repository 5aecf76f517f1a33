// train/optimizer.h - AdamW over a network's trainables, with its state on disk.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "recipe/train_config.h"
#include "train/gradient_buckets.h"
#include "train/network.h"
#include "train/tensor_file.h"
#include "train/torch.h"

namespace metier::train {

class Optimizer {
 public:
  // With buckets it updates their pieces, whose gradients they sum; borrows them.
  Optimizer(std::vector<Trainable> trainables, const recipe::TrainConfig& config,
            GradientBuckets* buckets = nullptr);

  // Sum of the squares of all gradients that it uses; not finite when one of them is not.
  // Trainables that no gradient reached (experts nobody chose) count as 0.
  double SquaredNorm() const;

  // One step (counted from 1) with gradients scaled by `gradient_scale`, which are freed
  // afterwards.
  void Step(std::int64_t step, double learning_rate, double gradient_scale);

  void DropGradients();

  // Moments of whole trainables, as F32 safetensors: "first.<name>", "second.<name>". With shares
  // Collect comes first, of all workers; worker 0 then has them until Save is done.
  Status Collect();
  Status Save(const std::string& path);
  // With buckets called by all workers, of which worker 0 alone reads. kDataCorrupt: not of these
  // trainables.
  Status Load(const std::string& path);

  const std::vector<Trainable>& trainables() const { return trainables_; }

 private:
  double RateOf(const Trainable& trainable) const;
  // Empty tensors like the trainables.
  std::vector<at::Tensor> Whole() const;
  std::vector<NamedTensor> Named(const std::vector<at::Tensor>& first,
                                 const std::vector<at::Tensor>& second) const;
  // A piece's elements of a tensor like its trainable: the tensor itself where that is all of it.
  at::Tensor ElementsOf(const OwnedPiece& piece, const at::Tensor& tensor) const;

  std::vector<Trainable> trainables_;
  GradientBuckets* buckets_;
  std::vector<OwnedPiece> pieces_;
  std::vector<at::Tensor> first_;  // of each piece
  std::vector<at::Tensor> second_;
  std::vector<at::Tensor> whole_first_;  // from Collect to Save, of each trainable
  std::vector<at::Tensor> whole_second_;
  AdamStep settings_;
  double decay_ = 0;
  // Of the learning rate.
  double lora_b_rate_ = 1;  // LoRA+ (Hayou et al. 2024, section 4)
  double embedding_rate_ = 1;
};

}  // namespace metier::train
