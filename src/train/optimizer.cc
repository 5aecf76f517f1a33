#include "train/optimizer.h"

#include <cmath>
#include <utility>

namespace metier::train {

Optimizer::Optimizer(std::vector<Trainable> trainables, const recipe::TrainConfig& config)
    : trainables_(std::move(trainables)), decay_(config.weight_decay) {
  settings_.beta1 = config.adam_beta1;
  settings_.beta2 = config.adam_beta2;
  settings_.epsilon = config.adam_epsilon;
  if (config.lora) lora_b_rate_ = config.lora->loraplus_lr_ratio;
  if (config.embedding_learning_rate > 0)
    embedding_rate_ = config.embedding_learning_rate / config.learning_rate;
  for (const Trainable& trainable : trainables_) {
    first_.push_back(at::zeros_like(trainable.value.detach()));
    second_.push_back(at::zeros_like(trainable.value.detach()));
  }
}

double Optimizer::GradientNorm() const {
  std::vector<at::Tensor> gradients;
  for (const Trainable& trainable : trainables_)
    if (trainable.value.grad().defined()) gradients.push_back(trainable.value.grad());
  return std::sqrt(SumSquares(gradients));
}

double Optimizer::RateOf(const Trainable& trainable) const {
  switch (trainable.rate) {
    case Rate::kLoraB: return lora_b_rate_;
    case Rate::kEmbedding: return embedding_rate_;
    case Rate::kBase: break;
  }
  return 1;
}

void Optimizer::Step(std::int64_t step, double learning_rate, double gradient_scale) {
  const torch::NoGradGuard no_grad;
  AdamStep settings = settings_;
  settings.step = step;
  settings.gradient_scale = gradient_scale;
  for (std::size_t i = 0; i < trainables_.size(); ++i) {
    const Trainable& trainable = trainables_[i];
    at::Tensor gradient = trainable.value.grad();
    if (!gradient.defined()) gradient = at::zeros_like(trainable.value);
    settings.learning_rate = learning_rate * RateOf(trainable);
    settings.decay = trainable.decays ? decay_ : 0;
    AdamUpdate(trainable.value.detach(), gradient, first_[i], second_[i], trainable.act, settings);
  }
  DropGradients();
}

void Optimizer::DropGradients() {
  for (const Trainable& trainable : trainables_) trainable.value.mutable_grad().reset();
}

std::vector<NamedTensor> Optimizer::Moments() const {
  std::vector<NamedTensor> moments;
  for (std::size_t i = 0; i < trainables_.size(); ++i) {
    moments.push_back({"first." + trainables_[i].name, first_[i]});
    moments.push_back({"second." + trainables_[i].name, second_[i]});
  }
  return moments;
}

Status Optimizer::Save(const std::string& path) const {
  return SaveTensors(path, Moments(), "metier-adamw");
}

Status Optimizer::Load(const std::string& path) {
  return LoadTensors(path, Moments(), "optimiser state");
}

}  // namespace metier::train
