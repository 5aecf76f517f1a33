// tests/unit/engine/tiny_models.h - every family's tiny random model, and what to run on it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/rng.h"
#include "engine/native_backend.h"
#include "engine/native_model.h"
#include "model/family.h"
#include "model/model_files.h"
#include "support/fixtures.h"

namespace metier::engine::test {

// Larger than a trained model's, so that attention is peaked and logits spread over several units:
// a wrong rotation or scale must not drown in a flat softmax.
inline constexpr double kScale = 0.12;
inline constexpr std::uint64_t kSeed = 5;

inline Result<tensor::Tensor> RandomParameterOf(const model::ModelSpec& spec,
                                                const std::string& name) {
  return model::RandomParameter(spec, name, kSeed, kScale);
}

inline std::shared_ptr<const NativeModel> RandomModel(const model::ModelSpec& spec) {
  auto model = NativeModel::FromReader(
      spec, [&](const std::string& name) { return RandomParameterOf(spec, name); });
  EXPECT_TRUE(model.ok()) << model.error().message();
  return std::move(model).value();
}

inline std::vector<model::TokenId> RandomTokens(const model::ModelSpec& spec, std::size_t count,
                                                std::uint64_t seed) {
  Rng rng(seed);
  std::vector<model::TokenId> tokens(count);
  for (model::TokenId& token : tokens)
    token = static_cast<model::TokenId>(rng.Below(static_cast<std::uint64_t>(spec.vocab)));
  return tokens;
}

// All results of a text in one step.
inline std::vector<float> RunWhole(model::Backend& backend,
                                   const std::vector<model::TokenId>& tokens,
                                   const std::vector<model::TokenId>& types = {},
                                   model::AdapterId adapter = model::AdapterId::kNone) {
  const auto sequence = backend.OpenSequence(adapter);
  EXPECT_TRUE(sequence.ok());
  const model::SequenceStep step{
      .sequence = *sequence, .tokens = tokens, .types = types, .want = model::Want::kAll};
  const auto rows = backend.Forward({&step, 1});
  EXPECT_TRUE(rows.ok()) << rows.error().message();
  std::vector<float> values;
  if (rows.ok()) values.assign(rows->front().values.begin(), rows->front().values.end());
  backend.CloseSequence(*sequence);
  return values;
}

// Every page looks like every other until its tokens are compared.
inline std::uint64_t NoHash(std::uint64_t /*before*/, std::span<const model::TokenId> /*tokens*/) {
  return 0;
}

// Deltas on every linear that the family lets adapters name, an embedding and a head of its own.
inline model::Adapter RandomAdapter(const model::ModelSpec& spec, std::uint64_t seed) {
  model::Adapter adapter;
  adapter.name = "random";
  Rng rng(seed);
  for (const model::LinearModule& module : model::LinearModules(spec)) {
    for (const model::LinearModule::Part& part : module.parts) {
      const auto rank = static_cast<std::int64_t>(1 + rng.Below(3));
      model::LoraDelta delta{.linear = part.linear,
                             .a = tensor::Tensor(tensor::DType::kF32, {rank, module.in}),
                             .b = tensor::Tensor(tensor::DType::kF32, {part.out, rank}),
                             .scale = 0.5};
      for (float& value : delta.a.f32()) value = static_cast<float>(0.2 * rng.Normal());
      for (float& value : delta.b.f32()) value = static_cast<float>(0.2 * rng.Normal());
      adapter.deltas.push_back(std::move(delta));
    }
  }
  for (const model::WholeModule& module : model::WholeModules(spec)) {
    // An untied head has a delta already; no adapter has both.
    if (module.parameter == "head.weight" && !spec.tied_head) continue;
    tensor::Tensor value(tensor::DType::kF32, {spec.vocab, spec.width});
    for (float& element : value.f32()) element = static_cast<float>(0.5 * rng.Normal());
    adapter.replaced.push_back({module.parameter, std::move(value)});
  }
  return adapter;
}

// With room for more than one page of the cache.
inline model::ModelSpec TinySpec(const model::Family& family) {
  model::ModelSpec spec = family.tiny();
  spec.max_positions = 96;
  return spec;
}

class EveryFamily : public ::testing::TestWithParam<const model::Family*> {
 protected:
  EveryFamily() : spec_(TinySpec(*GetParam())), model_(RandomModel(spec_)) {}

  model::ModelSpec spec_;
  std::shared_ptr<const NativeModel> model_;
};

inline std::string FamilyName(const ::testing::TestParamInfo<const model::Family*>& info) {
  return std::string(info.param->name);
}

}  // namespace metier::engine::test
