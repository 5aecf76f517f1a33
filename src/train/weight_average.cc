#include "train/weight_average.h"

#include <algorithm>
#include <utility>

#include "train/tensor_file.h"

namespace metier::train {
namespace {

std::vector<NamedTensor> Named(const std::vector<Trainable>& trainables,
                               const std::vector<at::Tensor>& averages) {
  std::vector<NamedTensor> named;
  for (std::size_t i = 0; i < trainables.size(); ++i)
    named.push_back({trainables[i].name, averages[i]});
  return named;
}

}  // namespace

WeightAverage::WeightAverage(std::vector<Trainable> trainables, double decay)
    : trainables_(std::move(trainables)), decay_(decay) {
  for (const Trainable& trainable : trainables_)
    averages_.push_back(trainable.value.detach().clone());
}

void WeightAverage::Update(std::int64_t step) {
  const torch::NoGradGuard no_grad;
  const auto t = static_cast<double>(step);
  const double decay = std::min(decay_, (1 + t) / (10 + t));
  for (std::size_t i = 0; i < trainables_.size(); ++i)
    averages_[i].lerp_(trainables_[i].value.detach(), 1 - decay);
}

void WeightAverage::Swap() {
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < trainables_.size(); ++i) {
    const at::Tensor value = trainables_[i].value.detach();
    const at::Tensor kept = value.clone();
    value.copy_(averages_[i]);
    averages_[i].copy_(kept);
    if (trainables_[i].act.defined()) trainables_[i].act.copy_(value);
  }
}

Status WeightAverage::Save(const std::string& path) const {
  return SaveTensors(path, Named(trainables_, averages_), "metier-average");
}

Status WeightAverage::Load(const std::string& path) {
  return LoadTensors(path, Named(trainables_, averages_), "averaged weights");
}

}  // namespace metier::train
