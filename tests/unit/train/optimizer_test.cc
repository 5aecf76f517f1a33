// AdamW's step on a network's trainables.
#include "train/optimizer.h"

#include <gtest/gtest.h>

#include "unit/train/device.h"

namespace metier::train {
namespace {

Trainable Ones(const char* name, Rate rate) {
  Trainable trainable;
  trainable.name = name;
  trainable.value = at::ones({2, 3}, TestDevice());
  trainable.value.mutable_grad() = at::ones({2, 3}, TestDevice());
  trainable.rate = rate;
  return trainable;
}

TEST(Optimizer, LoraBAndEmbeddingsHaveRatesOfTheirOwn) {
  recipe::TrainConfig config;
  config.weight_decay = 0.5;
  recipe::LoraConfig lora;
  lora.loraplus_lr_ratio = 4;
  config.lora = lora;
  config.learning_rate = 0.02;
  config.embedding_learning_rate = 0.01;
  Optimizer optimizer(
      {Ones("A", Rate::kBase), Ones("B", Rate::kLoraB), Ones("embed_tokens", Rate::kEmbedding)},
      config);
  // Half of the peak, as schedules have it.
  optimizer.Step(1, /*learning_rate=*/0.01, /*gradient_scale=*/1);
  // The first step of Adam is as long as its rate; decay comes at the same rate.
  const double rates[] = {0.01, 0.04, 0.005};
  for (std::size_t i = 0; i < std::size(rates); ++i) {
    const at::Tensor& value = optimizer.trainables()[i].value;
    EXPECT_NEAR(value.min().item<double>(), 1 - 1.5 * rates[i], 1e-6);
    EXPECT_NEAR(value.max().item<double>(), 1 - 1.5 * rates[i], 1e-6);
  }
}

}  // namespace
}  // namespace metier::train
