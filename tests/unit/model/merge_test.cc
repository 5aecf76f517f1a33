#include "model/merge.h"

#include <algorithm>
#include <cmath>

#include "support/fixtures.h"

namespace metier::model {
namespace {

using tensor::DType;
using tensor::Tensor;

Tensor Filled(tensor::Shape shape, const std::vector<float>& values) {
  Tensor tensor(DType::kF32, std::move(shape));
  std::copy(values.begin(), values.end(), tensor.f32().begin());
  return tensor;
}

ModelSpec TwoWide() {
  ModelSpec spec;
  spec.family = "llama";
  spec.vocab = spec.width = spec.hidden = spec.head_dim = 2;
  spec.layers = spec.heads = spec.kv_heads = 1;
  spec.max_positions = 4;
  spec.layer.resize(1);
  return spec;
}

ParameterReader Ones(const ModelSpec& spec) {
  return [spec](const std::string& name) -> Result<Tensor> {
    for (const Parameter& parameter : Parameters(spec)) {
      if (parameter.name != name) continue;
      const auto count = static_cast<std::size_t>(tensor::ElementCount(parameter.shape));
      return Filled(parameter.shape, std::vector<float>(count, 1));
    }
    return Error(ErrorCode::kNotFound, name);
  };
}

LoraDelta Delta(const std::string& linear, tensor::Shape a, tensor::Shape b) {
  const auto size = [](const tensor::Shape& shape) {
    return static_cast<std::size_t>(tensor::ElementCount(shape));
  };
  std::vector<float> counted(size(a));
  for (std::size_t i = 0; i < counted.size(); ++i) counted[i] = static_cast<float>(i + 1);
  LoraDelta delta;
  delta.linear = linear;
  delta.b = Filled(b, std::vector<float>(size(b), 2));
  delta.a = Filled(std::move(a), counted);
  delta.scale = 0.5;
  return delta;
}

TEST(Merge, AddsScaledProductToItsLinearOnly) {
  const ModelSpec spec = TwoWide();
  Adapter adapter;
  adapter.deltas.push_back(Delta("layers.0.attn.q", {2, 2}, {2, 2}));  // a = [[1, 2], [3, 4]]
  ASSERT_OK_AND_ASSIGN(const MergedModel merged, Merge(spec, Ones(spec), adapter));
  EXPECT_EQ(merged.spec, spec);
  ASSERT_OK_AND_ASSIGN(const Tensor q, merged.read("layers.0.attn.q.weight"));
  // 1 + 0.5 * (2 * 1 + 2 * 3) and 1 + 0.5 * (2 * 2 + 2 * 4), in both rows
  EXPECT_THAT(q.f32(), ::testing::ElementsAre(5, 7, 5, 7));
  ASSERT_OK_AND_ASSIGN(const Tensor k, merged.read("layers.0.attn.k.weight"));
  EXPECT_THAT(k.f32(), ::testing::ElementsAre(1, 1, 1, 1));
}

// Rows [5, 7] of the sum as long as DoRA says: 10, and 0 of a row that is none.
TEST(Merge, ScalesRowsToMagnitudes) {
  const ModelSpec spec = TwoWide();
  Adapter adapter;
  adapter.deltas.push_back(Delta("layers.0.attn.q", {2, 2}, {2, 2}));
  adapter.deltas[0].magnitude = Filled({2}, {10, 2});
  std::ranges::fill(adapter.deltas[0].b.f32().subspan(2), 0.0F);
  const ParameterReader base = [&](const std::string& name) -> Result<Tensor> {
    METIER_ASSIGN(Tensor weight, Ones(spec)(name));
    if (name == "layers.0.attn.q.weight") std::ranges::fill(weight.f32().subspan(2), 0.0F);
    return weight;
  };
  ASSERT_OK_AND_ASSIGN(const MergedModel merged, Merge(spec, base, adapter));
  ASSERT_OK_AND_ASSIGN(const Tensor q, merged.read("layers.0.attn.q.weight"));
  const auto length = static_cast<float>(std::sqrt(5.0 * 5 + 7 * 7));
  EXPECT_FLOAT_EQ(q.f32()[0], 50 / length);
  EXPECT_FLOAT_EQ(q.f32()[1], 70 / length);
  EXPECT_EQ(q.f32()[2], 0);
  EXPECT_EQ(q.f32()[3], 0);
  adapter.deltas[0].magnitude = Filled({3}, {1, 2, 3});
  EXPECT_ERROR(Merge(spec, base, adapter), ErrorCode::kInvalidArgument,
               "found magnitudes [3], expected [2]");
}

TEST(Merge, UntiesAHeadThatDiffersFromTheEmbedding) {
  ModelSpec spec = TwoWide();
  spec.tied_head = true;
  const auto size = static_cast<std::size_t>(spec.vocab * spec.width);
  const auto filled = [&](float value) {
    return Filled({spec.vocab, spec.width}, std::vector<float>(size, value));
  };
  const auto first = [](const MergedModel& merged, const char* name) {
    const auto weight = merged.read(name);
    return weight.ok() ? weight->f32()[0] : -1;
  };
  Adapter adapter;
  adapter.replaced = {{"embed.tokens", filled(5)}};
  ASSERT_OK_AND_ASSIGN(const MergedModel embedding, Merge(spec, Ones(spec), adapter));
  EXPECT_FALSE(embedding.spec.tied_head);
  EXPECT_EQ(first(embedding, "embed.tokens"), 5);
  EXPECT_EQ(first(embedding, "head.weight"), 1);
  adapter.replaced.push_back({"head.weight", filled(5)});
  ASSERT_OK_AND_ASSIGN(const MergedModel same, Merge(spec, Ones(spec), adapter));
  EXPECT_TRUE(same.spec.tied_head);
  EXPECT_EQ(first(same, "embed.tokens"), 5);
  adapter.replaced.back().value = filled(6);
  ASSERT_OK_AND_ASSIGN(const MergedModel other, Merge(spec, Ones(spec), adapter));
  EXPECT_FALSE(other.spec.tied_head);
  EXPECT_EQ(first(other, "head.weight"), 6);
}

TEST(Merge, PutsRowsOfTokensInTheirPlaces) {
  ModelSpec spec = TwoWide();
  const TokenRows rows = {"embed.tokens", {1}, Filled({1, 2}, {7, 8})};
  Adapter adapter;
  adapter.rows = {rows};
  ASSERT_OK_AND_ASSIGN(const MergedModel merged, Merge(spec, Ones(spec), adapter));
  ASSERT_OK_AND_ASSIGN(const Tensor table, merged.read("embed.tokens"));
  EXPECT_THAT(table.f32(), ::testing::ElementsAre(1, 1, 7, 8));
  ASSERT_OK_AND_ASSIGN(const Tensor own, merged.read("head.weight"));
  EXPECT_THAT(own.f32(), ::testing::ElementsAre(1, 1, 1, 1));

  spec.tied_head = true;
  ASSERT_OK_AND_ASSIGN(const MergedModel untied, Merge(spec, Ones(spec), adapter));
  EXPECT_FALSE(untied.spec.tied_head);
  ASSERT_OK_AND_ASSIGN(const Tensor head, untied.read("head.weight"));
  EXPECT_THAT(head.f32(), ::testing::ElementsAre(1, 1, 1, 1));
  adapter.rows.push_back(rows);
  adapter.rows.back().parameter = "head.weight";
  ASSERT_OK_AND_ASSIGN(const MergedModel tied, Merge(spec, Ones(spec), adapter));
  EXPECT_TRUE(tied.spec.tied_head);
  ASSERT_OK_AND_ASSIGN(const Tensor both, tied.read("embed.tokens"));
  EXPECT_THAT(both.f32(), ::testing::ElementsAre(1, 1, 7, 8));

  adapter.rows.back().tokens = {2};
  EXPECT_ERROR(Merge(spec, Ones(spec), adapter), ErrorCode::kInvalidArgument, "tokens below 2");
}

TEST(Merge, RefusesWhatDoesNotFit) {
  const ModelSpec spec = TwoWide();
  const auto merge = [&spec](LoraDelta delta) {
    Adapter adapter;
    adapter.deltas.push_back(std::move(delta));
    return Merge(spec, Ones(spec), adapter);
  };
  EXPECT_ERROR(merge(Delta("layers.1.attn.q", {1, 2}, {2, 1})), ErrorCode::kInvalidArgument,
               "no linear 'layers.1.attn.q'");
  EXPECT_ERROR(merge(Delta("layers.0.attn.q", {1, 3}, {2, 1})), ErrorCode::kInvalidArgument,
               "expected the product to be [2, 2]");
  EXPECT_ERROR(merge(Delta("layers.0.attn.q", {2, 2}, {2, 1})), ErrorCode::kInvalidArgument,
               "found A [2, 2] and B [2, 1]");
}

}  // namespace
}  // namespace metier::model
