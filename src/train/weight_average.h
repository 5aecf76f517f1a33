// train/weight_average.h - a running average of what is trained (an exponential moving average,
// EMA): it forgets the noise of single steps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "train/network.h"
#include "train/torch.h"

namespace metier::train {

// average = d average + (1 - d) weight after each step, d = min(decay, (1 + step) / (10 + step)):
// early weights, which are no good, are forgotten sooner.
class WeightAverage {
 public:
  // Begins as the weights are. `trainables` share their tensors with the network.
  WeightAverage(std::vector<Trainable> trainables, double decay);

  // After step `step`, counted from 1.
  void Update(std::int64_t step);

  // Exchanges the network's weights, and their copies for products, with the averages.
  void Swap();

  // F32 safetensors by the trainables' names.
  Status Save(const std::string& path) const;
  // kDataCorrupt: not of these trainables.
  Status Load(const std::string& path);

 private:
  std::vector<Trainable> trainables_;
  std::vector<at::Tensor> averages_;
  double decay_;
};

}  // namespace metier::train
