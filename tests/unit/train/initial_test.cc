// What a model made from scratch begins with.
#include "train/initial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/fixtures.h"

namespace metier::train {
namespace {

using testing::Each;

model::ModelSpec TinyQwen2() {
  model::ModelSpec spec;
  spec.family = "qwen2";
  spec.vocab = 40;
  spec.width = 24;
  spec.layers = 1;
  spec.heads = 4;
  spec.kv_heads = 2;
  spec.head_dim = 6;
  spec.hidden = 32;
  spec.max_positions = 64;
  spec.qkv_bias = true;
  spec.tied_head = true;
  return spec;
}

double Deviation(const tensor::Tensor& values) {
  double sum = 0;
  for (const float value : values.f32()) sum += static_cast<double>(value) * value;
  return std::sqrt(sum / static_cast<double>(values.f32().size()));
}

TEST(Initial, NormsAreNeutralBiasesZeroWeightsOfTheStatedDeviation) {
  recipe::InitConfig init;
  init.std = 0.3;
  const auto of = [&](const char* name) {
    return InitialParameter(TinyQwen2(), name, 1, init).value();
  };
  EXPECT_THAT(of("layers.0.attn_norm.weight").f32(), Each(1.0F));
  EXPECT_THAT(of("layers.0.attn.q.bias").f32(), Each(0.0F));
  EXPECT_THAT(of("layers.0.attn.v.bias").f32(), Each(0.0F));
  // 960 values: the deviation of their deviation is 0.3 / sqrt(2 * 960) = 0.007; five of them.
  EXPECT_NEAR(Deviation(of("embed.tokens")), 0.3, 0.035);
  EXPECT_EQ(of("embed.tokens").f32()[7], of("embed.tokens").f32()[7]);
}

TEST(Initial, AMimeticHeadHandsOnWhatItsValuesRead) {
  recipe::InitConfig init;
  init.attention = "mimetic";
  const model::ModelSpec spec = TinyQwen2();
  const tensor::Tensor v = InitialParameter(spec, "layers.0.attn.v.weight", 1, init).value();
  const tensor::Tensor o = InitialParameter(spec, "layers.0.attn.o.weight", 1, init).value();
  // Of four heads two and two share their values: [12, 24] against [24, 24].
  for (std::size_t row = 0; row < 24; ++row) {
    for (std::size_t column = 0; column < 24; ++column) {
      const std::size_t value = column / 12 * 6 + column % 6;
      ASSERT_EQ(o.f32()[row * 24 + column], v.f32()[value * 24 + row] / 2) << row << " " << column;
    }
  }
  init.attention = "normal";
  EXPECT_NE(InitialParameter(spec, "layers.0.attn.o.weight", 1, init).value().f32()[0], o.f32()[0]);
}

TEST(Initial, QueriesAndKeysMayBeginWithBiases) {
  recipe::InitConfig init;
  init.query_key_bias_std = 1;
  model::ModelSpec spec = TinyQwen2();
  // 24 values: 1 +- 1 / sqrt(48), four of them.
  EXPECT_NEAR(Deviation(InitialParameter(spec, "layers.0.attn.q.bias", 1, init).value()), 1, 0.6);
  EXPECT_THAT(InitialParameter(spec, "layers.0.attn.v.bias", 1, init).value().f32(), Each(0.0F));
  spec.qkv_bias = false;
  spec.family = "llama";
  EXPECT_ERROR(InitialParameter(spec, "embed.tokens", 1, init), ErrorCode::kInvalidArgument,
               "query_key_bias_std");
}

}  // namespace
}  // namespace metier::train
