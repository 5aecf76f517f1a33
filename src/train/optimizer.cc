#include "train/optimizer.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <utility>

#include "format/safetensors.h"

namespace metier::train {
namespace {

format::NamedTensor Named(const std::string& name, const at::Tensor& tensor) {
  format::NamedTensor named;
  named.name = name;
  named.tensor.dtype = tensor::DType::kF32;
  named.tensor.shape = tensor.sizes().vec();
  named.tensor.bytes = {static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()};
  return named;
}

}  // namespace

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

Status Optimizer::Save(const std::string& path) const {
  std::vector<at::Tensor> kept;  // the views below borrow these
  std::vector<format::NamedTensor> tensors;
  for (std::size_t i = 0; i < trainables_.size(); ++i) {
    kept.push_back(first_[i].to(at::kCPU, at::kFloat).contiguous());
    tensors.push_back(Named("first." + trainables_[i].name, kept.back()));
    kept.push_back(second_[i].to(at::kCPU, at::kFloat).contiguous());
    tensors.push_back(Named("second." + trainables_[i].name, kept.back()));
  }
  return format::WriteSafetensors(path, tensors, {{"format", "metier-adamw"}});
}

Status Optimizer::Load(const std::string& path) {
  METIER_ASSIGN(const format::SafetensorsFile file, format::SafetensorsFile::Open(path));
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < trainables_.size(); ++i) {
    const std::pair<std::string, at::Tensor> pairs[] = {
        {"first." + trainables_[i].name, first_[i]}, {"second." + trainables_[i].name, second_[i]}};
    for (const auto& pair : pairs) {
      const tensor::TensorView* view = file.Find(pair.first);
      if (view == nullptr || view->dtype != tensor::DType::kF32 ||
          view->shape != pair.second.sizes().vec()) {
        return Error(
            ErrorCode::kDataCorrupt,
            fmt::format("optimiser state '{}': expected '{}' F32 {}, found {}", path, pair.first,
                        tensor::FormatShape(pair.second.sizes().vec()),
                        view == nullptr ? std::string("none") : tensor::FormatShape(view->shape)));
      }
      const at::Tensor copy = at::empty(pair.second.sizes(), at::kFloat);
      std::memcpy(copy.data_ptr(), view->bytes.data(), view->bytes.size());
      pair.second.copy_(copy);
    }
  }
  return Ok();
}

}  // namespace metier::train
