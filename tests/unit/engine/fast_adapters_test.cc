// Eight different adapters of rank 16 in one batch over a base as it is served, the factors in
// bytes: as near to weights merged in float as the base is to its own, but for the factors' bytes.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/dispatch.h"
#include "model/merge.h"
#include "tiny_models.h"

namespace metier::engine::test {
namespace {

using tensor::DType;
using tensor::Tensor;

constexpr std::size_t kAdapters = 8;

// The root mean square error of normal factors in bytes, of the product's: a step is the greatest
// of up to 128 over 127, about 2.7 / 127 of a deviation, and its error that over sqrt(12), 0.0061;
// both factors together sqrt(2) of it.
constexpr double kFactorsInBytes = 0.0087;

// Rank 16 on every linear; not small, so that what it does stands far above the rounding.
model::Adapter WideAdapter(const model::ModelSpec& spec, std::uint64_t seed) {
  model::Adapter adapter;
  adapter.name = "wide";
  Rng rng(seed);
  for (const model::LinearModule& module : model::LinearModules(spec)) {
    for (const model::LinearModule::Part& part : module.parts) {
      model::LoraDelta delta{.linear = part.linear,
                             .a = Tensor(DType::kF32, {16, module.in}),
                             .b = Tensor(DType::kF32, {part.out, 16}),
                             .scale = 0.5};
      for (float& value : delta.a.f32()) value = static_cast<float>(0.1 * rng.Normal());
      for (float& value : delta.b.f32()) value = static_cast<float>(0.1 * rng.Normal());
      adapter.deltas.push_back(std::move(delta));
    }
  }
  return adapter;
}

// The root of the mean squared difference, of the mean square of `exact`.
double RelativeError(std::span<const float> found, std::span<const float> exact) {
  EXPECT_EQ(found.size(), exact.size());
  double error = 0;
  double size = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    error += std::pow(static_cast<double>(found[i]) - static_cast<double>(exact[i]), 2);
    size += std::pow(static_cast<double>(exact[i]), 2);
  }
  return std::sqrt(error / size);
}

class FastAdapters : public ::testing::TestWithParam<DType> {
 protected:
  FastAdapters() : spec_((*model::FindFamily("llama"))->tiny()) {
    spec_.width = 128;
    spec_.hidden = 192;
    spec_.max_positions = 96;
  }

  // What one text gives in a model of these parameters, in float.
  std::vector<float> Exact(const model::ModelSpec& spec, const model::ParameterReader& read,
                           const std::vector<model::TokenId>& tokens) {
    auto model = NativeModel::FromReader(spec, read);
    EXPECT_OK(model);
    NativeBackend backend(*model, {.threads = 2});
    return RunWhole(backend, tokens);
  }

  model::ModelSpec spec_;
};

TEST_P(FastAdapters, AreAsNearToMergedWeightsAsTheBaseIsToItself) {
  const metier::test::TempFolder folder;
  const std::string path = folder / "base.gguf";
  ASSERT_OK(model::WriteGgufModel(
      path, spec_, {.dtype = GetParam(), .head_dtype = GetParam()}, {},
      [&](const std::string& name) { return RandomParameterOf(spec_, name); }));
  ASSERT_OK_AND_ASSIGN(const auto files, model::ModelFiles::Open(path));
  const model::ParameterReader base = [&](const std::string& name) { return files.LoadF32(name); };
  ASSERT_OK_AND_ASSIGN(const auto opened, NativeModel::Open(path));
  NativeBackend backend(opened, {.threads = 2, .arithmetic = Arithmetic::kFast});

  const std::vector<model::TokenId> tokens = RandomTokens(spec_, 24, 3);
  const std::vector<float> exact = Exact(spec_, base, tokens);
  const double own = RelativeError(RunWhole(backend, tokens), exact);
  // BF16 is exact where there are no products of pairs; the factors are rounded all the same.
  const auto bf16 = static_cast<std::size_t>(kernels::Packing::kBF16);
  const bool rounds =
      GetParam() != DType::kBF16 || kernels::Kernels().packed[bf16].multiply_bf16 != nullptr;
  EXPECT_EQ(own > 0, rounds);
  const double allowed = rounds ? 2 * own : kFactorsInBytes;

  std::vector<model::SequenceStep> steps;
  for (std::size_t i = 0; i < kAdapters; ++i) {
    ASSERT_OK_AND_ASSIGN(const auto id, backend.AddAdapter(WideAdapter(spec_, i)));
    ASSERT_OK_AND_ASSIGN(const auto sequence, backend.OpenSequence(id));
    steps.push_back(
        {.sequence = sequence, .tokens = tokens, .types = {}, .want = model::Want::kAll});
  }
  ASSERT_OK_AND_ASSIGN(const auto rows, backend.Forward(steps));
  for (std::size_t i = 0; i < kAdapters; ++i) {
    ASSERT_OK_AND_ASSIGN(const model::MergedModel merged,
                         model::Merge(spec_, base, WideAdapter(spec_, i)));
    const std::vector<float> expected = Exact(merged.spec, merged.read, tokens);
    EXPECT_GT(RelativeError(exact, expected), 5 * allowed) << "the adapter hardly does anything";
    EXPECT_LT(RelativeError(rows[i].values, expected), allowed) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, FastAdapters,
                         ::testing::Values(DType::kBF16, DType::kQ8_0, DType::kQ4_0),
                         [](const auto& tested) {
                           return std::string(tensor::InfoOf(tested.param).name);
                         });

}  // namespace
}  // namespace metier::engine::test
