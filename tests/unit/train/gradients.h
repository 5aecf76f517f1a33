// tests/unit/train/gradients.h - gradients against central differences.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/rng.h"
#include "support/fixtures.h"
#include "train/network.h"

namespace metier::train {

// Along a random direction of each trainable: d/dt f(p + t u) = grad . u. `loss()` is a scalar in
// double. The error of the difference is h^2 f''' / 6 + eps f / h; with h = 1e-5 in double both
// stay far under 1e-6 of the gradient's own size.
template <class Loss>
void CheckGradients(const std::vector<Trainable>& trainables, Loss&& loss) {
  loss().backward();
  for (const Trainable& trainable : trainables) {
    const at::Tensor gradient = trainable.value.grad();
    ASSERT_TRUE(gradient.defined()) << trainable.name;
    const torch::NoGradGuard no_grad;
    const at::Tensor value = trainable.value.detach();
    at::Tensor direction = at::empty(value.sizes(), at::kDouble);
    Rng rng(static_cast<std::uint64_t>(value.numel()));
    for (std::int64_t i = 0; i < value.numel(); ++i)
      direction.data_ptr<double>()[i] = rng.Uniform() - 0.5;
    direction = direction.to(value.device());
    constexpr double kStep = 1e-5;
    value.add_(direction, kStep);
    const double above = loss().template item<double>();
    value.sub_(direction, 2 * kStep);
    const double below = loss().template item<double>();
    value.add_(direction, kStep);
    const double measured = (above - below) / (2 * kStep);
    const double computed = (gradient * direction).sum().item<double>();
    const double size = (gradient * direction).abs().sum().item<double>();
    EXPECT_NEAR(computed, measured, 1e-6 * std::max(1.0, size)) << trainable.name;
  }
}

}  // namespace metier::train
