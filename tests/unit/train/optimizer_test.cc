// AdamW's step on a network's trainables.
#include "train/optimizer.h"

#include <gtest/gtest.h>

namespace metier::train {
namespace {

Trainable Ones(const char* name, bool lora_b) {
  Trainable trainable;
  trainable.name = name;
  trainable.value = at::ones({2, 3});
  trainable.value.mutable_grad() = at::ones({2, 3});
  trainable.lora_b = lora_b;
  return trainable;
}

TEST(Optimizer, LoraPlusMovesBFasterThanA) {
  recipe::TrainConfig config;
  config.weight_decay = 0.5;
  config.lora.emplace();
  config.lora->loraplus_lr_ratio = 4;
  Optimizer optimizer({Ones("A", false), Ones("B", true)}, config);
  optimizer.Step(1, /*learning_rate=*/0.01, /*gradient_scale=*/1);
  // The first step of Adam is as long as its rate; decay comes at the same rate.
  const double rates[] = {0.01, 0.04};
  for (int i = 0; i < 2; ++i) {
    const at::Tensor& value = optimizer.trainables()[static_cast<std::size_t>(i)].value;
    EXPECT_NEAR(value.min().item<double>(), 1 - 1.5 * rates[i], 1e-6);
    EXPECT_NEAR(value.max().item<double>(), 1 - 1.5 * rates[i], 1e-6);
  }
}

}  // namespace
}  // namespace metier::train
