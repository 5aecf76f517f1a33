#include "train/optimizer.h"

#include <cmath>
#include <utility>

namespace metier::train {
namespace {

constexpr const char* kMomentsFormat = "metier-adamw";
constexpr const char* kMomentsName = "optimiser state";

}  // namespace

Optimizer::Optimizer(std::vector<Trainable> trainables, const recipe::TrainConfig& config,
                     GradientBuckets* buckets)
    : trainables_(std::move(trainables)), buckets_(buckets), decay_(config.weight_decay) {
  settings_.beta1 = config.adam_beta1;
  settings_.beta2 = config.adam_beta2;
  settings_.epsilon = config.adam_epsilon;
  if (config.lora) lora_b_rate_ = config.lora->loraplus_lr_ratio;
  if (config.embedding_learning_rate > 0)
    embedding_rate_ = config.embedding_learning_rate / config.learning_rate;
  if (buckets_ != nullptr) {
    pieces_ = buckets_->pieces();
  } else {
    for (std::size_t i = 0; i < trainables_.size(); ++i)
      pieces_.push_back({i, 0, trainables_[i].value.numel()});
  }
  for (const OwnedPiece& piece : pieces_) {
    const at::Tensor value = ElementsOf(piece, trainables_[piece.trainable].value.detach());
    first_.push_back(at::zeros_like(value));
    second_.push_back(at::zeros_like(value));
  }
}

at::Tensor Optimizer::ElementsOf(const OwnedPiece& piece, const at::Tensor& tensor) const {
  const bool all = piece.count == trainables_[piece.trainable].value.numel();
  return all ? tensor : piece.Of(tensor);
}

double Optimizer::SquaredNorm() const {
  std::vector<at::Tensor> gradients;
  for (const OwnedPiece& piece : pieces_) {
    const at::Tensor& gradient = trainables_[piece.trainable].value.grad();
    if (gradient.defined()) gradients.push_back(ElementsOf(piece, gradient));
  }
  return SumSquares(gradients);
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
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    const Trainable& trainable = trainables_[pieces_[i].trainable];
    at::Tensor gradient = trainable.value.grad();
    if (!gradient.defined()) gradient = at::zeros_like(trainable.value);
    settings.learning_rate = learning_rate * RateOf(trainable);
    settings.decay = trainable.decays ? decay_ : 0;
    AdamUpdate(ElementsOf(pieces_[i], trainable.value.detach()), ElementsOf(pieces_[i], gradient),
               first_[i], second_[i], ElementsOf(pieces_[i], trainable.act), settings);
  }
  DropGradients();
}

void Optimizer::DropGradients() {
  for (const Trainable& trainable : trainables_) trainable.value.mutable_grad().reset();
}

std::vector<at::Tensor> Optimizer::Whole() const {
  std::vector<at::Tensor> whole;
  for (const Trainable& trainable : trainables_)
    whole.push_back(at::empty_like(trainable.value.detach()));
  return whole;
}

std::vector<NamedTensor> Optimizer::Named(const std::vector<at::Tensor>& first,
                                          const std::vector<at::Tensor>& second) const {
  std::vector<NamedTensor> moments;
  for (std::size_t i = 0; i < trainables_.size(); ++i) {
    moments.push_back({"first." + trainables_[i].name, first[i]});
    moments.push_back({"second." + trainables_[i].name, second[i]});
  }
  return moments;
}

Status Optimizer::Collect() {
  if (buckets_ == nullptr || !buckets_->shares()) return Ok();
  const bool keeps = buckets_->workers().first();
  whole_first_ = keeps ? Whole() : std::vector<at::Tensor>();
  whole_second_ = keeps ? Whole() : std::vector<at::Tensor>();
  METIER_TRY(buckets_->Collect(first_, whole_first_));
  return buckets_->Collect(second_, whole_second_);
}

Status Optimizer::Save(const std::string& path) {
  if (!whole_first_.empty()) {
    Status saved = SaveTensors(path, Named(whole_first_, whole_second_), kMomentsFormat);
    whole_first_.clear();
    whole_second_.clear();
    return saved;
  }
  // Pieces are whole then, but buckets have them in another order.
  std::vector<at::Tensor> first(trainables_.size());
  std::vector<at::Tensor> second(trainables_.size());
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    first[pieces_[i].trainable] = first_[i];
    second[pieces_[i].trainable] = second_[i];
  }
  return SaveTensors(path, Named(first, second), kMomentsFormat);
}

Status Optimizer::Load(const std::string& path) {
  if (buckets_ == nullptr) return LoadTensors(path, Named(first_, second_), kMomentsName);
  const bool reads = buckets_->workers().first();
  const std::vector<at::Tensor> first = reads ? Whole() : std::vector<at::Tensor>();
  const std::vector<at::Tensor> second = reads ? Whole() : std::vector<at::Tensor>();
  if (reads) METIER_TRY(LoadTensors(path, Named(first, second), kMomentsName));
  METIER_TRY(buckets_->Distribute(first, first_));
  return buckets_->Distribute(second, second_);
}

}  // namespace metier::train
