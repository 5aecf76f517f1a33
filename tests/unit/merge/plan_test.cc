#include "merge/plan.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <set>

#include "format/decode.h"
#include "merge/methods.h"
#include "merging.h"
#include "tensor/half.h"

namespace metier::merge {
namespace {

using test::PlanOf;
using test::RandomSource;
using test::TinySpec;
using test::ValuesOf;
using Values = std::vector<float>;

ThreadPool& Pool() {
  static ThreadPool pool(2);
  return pool;
}

Values Read(const MergePlan& plan, const std::string& name) {
  return ValuesOf(plan.Read(name, Pool()));
}

SourceModels ThreeModels(const model::ModelSpec& spec) {
  return {
      {"base", RandomSource(spec, 1)}, {"a", RandomSource(spec, 2)}, {"b", RandomSource(spec, 3)}};
}

Values Of(const SourceModels& models, const std::string& model, const std::string& name) {
  return ValuesOf(models.at(model).read(name));
}

// Double reference of a weighted mean.
void ExpectMean(const Values& found, const Values& a, const Values& b, double of_a, double of_b) {
  ASSERT_EQ(found.size(), a.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double exact =
        (of_a * static_cast<double>(a[i]) + of_b * static_cast<double>(b[i])) / (of_a + of_b);
    ASSERT_NEAR(static_cast<double>(found[i]), exact, std::fabs(exact) * FLT_EPSILON / 2 + 1e-15);
  }
}

TEST(MergePlan, MergesEveryParameterOfEveryFamily) {
  for (const model::Family* family : model::Families()) {
    const model::ModelSpec spec = family->tiny();
    const SourceModels models = ThreeModels(spec);
    ASSERT_OK_AND_ASSIGN(const MergePlan plan, PlanOf("merge_method: linear\n"
                                                      "models:\n"
                                                      "  - {model: a, parameters: {weight: 1}}\n"
                                                      "  - {model: b, parameters: {weight: 3}}\n",
                                                      models));
    EXPECT_EQ(plan.spec(), spec) << family->name;
    for (const model::Parameter& parameter : model::Parameters(spec)) {
      ExpectMean(Read(plan, parameter.name), Of(models, "a", parameter.name),
                 Of(models, "b", parameter.name), 1, 3);
    }
  }
}

TEST(MergePlan, FollowsGradientsAndFilters) {
  const SourceModels models = ThreeModels(TinySpec("llama", 5));
  ASSERT_OK_AND_ASSIGN(
      const MergePlan plan,
      PlanOf("merge_method: linear\n"
             "models:\n"
             "  - {model: a, parameters: {weight: 1}}\n"
             "  - model: b\n"
             "    parameters:\n"
             "      weight: [{filter: mlp, value: [1, 3]}, {filter: norm, value: 5}]\n"
             "parameters: {weight: 7}\n",
             models));
  const auto expect = [&](const std::string& name, double of_b) {
    SCOPED_TRACE(name);
    ExpectMean(Read(plan, name), Of(models, "a", name), Of(models, "b", name), 1, of_b);
  };
  expect("layers.0.ffn.up.weight", 1);
  expect("layers.1.ffn.up.weight", 1.5);
  expect("layers.4.ffn.down.weight", 3);
  expect("layers.2.attn_norm.weight", 5);  // input_layernorm
  expect("final_norm.weight", 5);
  expect("layers.2.attn.q.weight", 7);  // what the whole merge says
  expect("embed.tokens", 7);
}

TEST(MergePlan, PutsBothEndsAtTheEndsOfAGradient) {
  const SourceModels models = ThreeModels(TinySpec("llama", 3));
  ASSERT_OK_AND_ASSIGN(const MergePlan plan,
                       PlanOf("merge_method: slerp\nbase_model: a\n"
                              "models: [{model: b}, {model: a}]\nparameters: {t: [0, 1]}\n",
                              models));
  EXPECT_EQ(Read(plan, "embed.tokens"), Of(models, "a", "embed.tokens"));
  EXPECT_EQ(Read(plan, "layers.0.attn.q.weight"), Of(models, "a", "layers.0.attn.q.weight"));
  EXPECT_EQ(Read(plan, "layers.2.attn.q.weight"), Of(models, "b", "layers.2.attn.q.weight"));
  EXPECT_EQ(Read(plan, "final_norm.weight"), Of(models, "b", "final_norm.weight"));
  Values halfway(Of(models, "a", "layers.1.attn.q.weight").size());
  MergeSlerp(Of(models, "a", "layers.1.attn.q.weight"), Of(models, "b", "layers.1.attn.q.weight"),
             0.5, Pool(), halfway);
  EXPECT_EQ(Read(plan, "layers.1.attn.q.weight"), halfway);
}

TEST(MergePlan, SumsChangesAgainstTheBase) {
  const SourceModels models = ThreeModels(TinySpec("llama", 2));
  ASSERT_OK_AND_ASSIGN(const MergePlan plan,
                       PlanOf("merge_method: task_arithmetic\nbase_model: base\n"
                              "models:\n"
                              "  - {model: base}\n"
                              "  - {model: a, parameters: {weight: 0.5}}\n"
                              "  - {model: b, parameters: {weight: -0.25}}\n"
                              "parameters: {lambda: 0.5}\n",
                              models));
  const std::string name = "layers.1.ffn.gate.weight";
  const Values base = Of(models, "base", name);
  const Values a = Of(models, "a", name);
  const Values b = Of(models, "b", name);
  const Values merged = Read(plan, name);
  for (std::size_t i = 0; i < base.size(); ++i) {
    const auto x = static_cast<double>(base[i]);
    const double exact =
        x + 0.5 * (0.5 * (static_cast<double>(a[i]) - x) - 0.25 * (static_cast<double>(b[i]) - x));
    ASSERT_NEAR(static_cast<double>(merged[i]), exact, std::fabs(exact) * FLT_EPSILON / 2 + 1e-15);
  }
}

// Each method against merge/methods.h with the numbers of the configuration.
TEST(MergePlan, GivesEachMethodItsNumbers) {
  const SourceModels models = ThreeModels(TinySpec("llama", 2));
  const std::string name = "layers.1.attn.k.weight";
  const Values base = Of(models, "base", name);
  const Values a = Of(models, "a", name);
  const Values b = Of(models, "b", name);
  const std::vector<Input> inputs = {{a, 0.5, 0.4}, {b, 2, 0.7}};
  const auto expect = [&](const std::string& method, const std::string& more,
                          const DeltaOptions& options) {
    SCOPED_TRACE(method);
    ASSERT_OK_AND_ASSIGN(const MergePlan plan,
                         PlanOf("merge_method: " + method +
                                    "\nbase_model: base\nseed: 5\n"
                                    "models:\n"
                                    "  - {model: a, parameters: {weight: 0.5, density: 0.4}}\n"
                                    "  - {model: b, parameters: {weight: 2, density: 0.7}}\n" +
                                    more,
                                models));
    Values expected(base.size());
    MergeDeltas(base, inputs, options, Pool(), expected);
    EXPECT_EQ(Read(plan, name), expected);
  };
  const auto magnitude = Sparsify::kMagnitude;
  const auto random = Sparsify::kRandom;
  expect("ties", "", {.sparsify = magnitude, .elect = Elect::kYes, .normalize = Normalize::kYes});
  expect("ties", "parameters: {normalize: false, lambda: 0.3}",
         {.sparsify = magnitude, .elect = Elect::kYes, .lambda = 0.3});
  expect("dare_ties", "", {.sparsify = random, .elect = Elect::kYes, .seed = 5, .tensor = name});
  expect("dare_linear", "", {.sparsify = random, .seed = 5, .tensor = name});
  expect("dare_linear", "parameters: {normalize: true}",
         {.sparsify = random, .normalize = Normalize::kYes, .seed = 5, .tensor = name});
}

TEST(MergePlan, StacksLayers) {
  const SourceModels models = {{"a", RandomSource(TinySpec("llama", 4), 1)},
                               {"b", RandomSource(TinySpec("llama", 6), 2)}};
  ASSERT_OK_AND_ASSIGN(
      const MergePlan plan,
      PlanOf(
          "merge_method: passthrough\n"
          "slices:\n"
          "  - sources: [{model: a, layer_range: [0, 3]}]\n"
          "  - sources:\n"
          "      - model: b\n"
          "        layer_range: [2, 6]\n"
          "        parameters: {scale: [{filter: o_proj, value: 0}, {filter: down, value: 0.5}]}\n",
          models));
  EXPECT_EQ(plan.spec().layers, 7);
  EXPECT_EQ(plan.spec().layer.size(), 7U);
  EXPECT_EQ(Read(plan, "embed.tokens"), Of(models, "a", "embed.tokens"));
  EXPECT_EQ(Read(plan, "layers.2.attn.q.weight"), Of(models, "a", "layers.2.attn.q.weight"));
  EXPECT_EQ(Read(plan, "layers.3.attn.q.weight"), Of(models, "b", "layers.2.attn.q.weight"));
  EXPECT_EQ(Read(plan, "layers.6.ffn.up.weight"), Of(models, "b", "layers.5.ffn.up.weight"));
  EXPECT_EQ(Read(plan, "final_norm.weight"), Of(models, "b", "final_norm.weight"));
  EXPECT_EQ(Read(plan, "head.weight"), Of(models, "b", "head.weight"));
  EXPECT_THAT(Read(plan, "layers.5.attn.o.weight"), ::testing::Each(0));
  Values half = Of(models, "b", "layers.4.ffn.down.weight");
  for (float& value : half) value /= 2;
  EXPECT_EQ(Read(plan, "layers.5.ffn.down.weight"), half);
  EXPECT_EQ(Read(plan, "layers.2.attn.o.weight"), Of(models, "a", "layers.2.attn.o.weight"));
}

TEST(MergePlan, MergesSlicesAgainstTheBasesOwnLayers) {
  const SourceModels models = ThreeModels(TinySpec("llama", 4));
  const std::string method = "merge_method: task_arithmetic\nbase_model: base\n";
  const std::string weight = "parameters: {weight: 1}\n";
  const std::string shifted =
      "slices: [{sources: [{model: base, layer_range: [1, 3]}, {model: a, layer_range: [2, "
      "4]}]}]\n";
  ASSERT_OK_AND_ASSIGN(const MergePlan plan, PlanOf(method + shifted + weight, models));
  // base_1 + (a_2 - base_1)
  const Values a = Of(models, "a", "layers.2.attn.q.weight");
  const Values merged = Read(plan, "layers.0.attn.q.weight");
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(merged[i], a[i], 1e-7F);
  const std::string unclear =
      "slices: [{sources: [{model: a, layer_range: [0, 2]}, {model: b, layer_range: [2, 4]}]}]\n";
  EXPECT_ERROR(PlanOf(method + unclear + weight, models), ErrorCode::kInvalidArgument,
               "the layers of 'base' that changes are against are not clear");
}

TEST(MergePlan, UntiesAHeadThatIsTiedInSomeModelsOnly) {
  model::ModelSpec tied = TinySpec("llama", 2);
  tied.tied_head = true;
  model::ModelSpec untied = tied;
  untied.tied_head = false;
  const std::string half =
      "merge_method: linear\nmodels: [{model: a}, {model: b}]\n"
      "parameters: {weight: 1}\n";
  const SourceModels models = {{"a", RandomSource(tied, 1)}, {"b", RandomSource(untied, 2)}};
  ASSERT_OK_AND_ASSIGN(const MergePlan plan, PlanOf(half, models));
  EXPECT_FALSE(plan.spec().tied_head);
  ExpectMean(Read(plan, "head.weight"), Of(models, "a", "embed.tokens"),
             Of(models, "b", "head.weight"), 1, 1);
  ASSERT_OK_AND_ASSIGN(const MergePlan both,
                       PlanOf(half, {{"a", RandomSource(tied, 1)}, {"b", RandomSource(tied, 2)}}));
  EXPECT_TRUE(both.spec().tied_head);
}

TEST(MergePlan, RefusesLayersThatAreNotThere) {
  const SourceModels models = {{"a", RandomSource(TinySpec("llama", 4), 1)},
                               {"b", RandomSource(TinySpec("llama", 6), 2)}};
  EXPECT_ERROR(PlanOf("merge_method: passthrough\n"
                      "slices: [{sources: [{model: a, layer_range: [2, 5]}]}]",
                      models),
               ErrorCode::kInvalidArgument, "layer_range [2, 5] of 'a': it has 4 layers");
  EXPECT_ERROR(PlanOf("merge_method: linear\nmodels: [{model: a}, {model: b}]\n"
                      "parameters: {weight: 1}",
                      models),
               ErrorCode::kInvalidArgument, "'a' has 4 layers and 'b' 6");
}

TEST(MergePlan, RefusesNumbersThatAreMissingAndFiltersThatMatchNothing) {
  const SourceModels models = ThreeModels(TinySpec("llama", 2));
  const auto code = ErrorCode::kInvalidArgument;
  EXPECT_ERROR(PlanOf("merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}, {model: "
                      "b}]",
                      models),
               code, "of 'b'");
  EXPECT_ERROR(PlanOf("merge_method: slerp\nmodels: [{model: a}, {model: b}]\n"
                      "parameters: {t: [{filter: mlp, value: 1}]}",
                      models),
               code, "no t is given for 'model.");
  EXPECT_ERROR(PlanOf("merge_method: linear\nmodels: [{model: a}, {model: b}]\n"
                      "parameters: {weight: [{filter: self_atn, value: 1}, {value: 2}]}",
                      models),
               code, "filter 'self_atn' is in no tensor's name (did you mean 'self_attn'?)");
}

TEST(MergePlan, RoundsAsAFileWould) {
  tensor::Tensor values(tensor::DType::kF32, {3});
  values.f32()[0] = 1.00390625F;  // between two numbers of bf16
  values.f32()[1] = -3.14159265F;
  ASSERT_OK(RoundTo(tensor::DType::kF32, values));
  EXPECT_EQ(values.f32()[1], -3.14159265F);
  ASSERT_OK(RoundTo(tensor::DType::kBF16, values));
  EXPECT_EQ(values.f32()[0], tensor::FromBF16(tensor::ToBF16(1.00390625F)));
  EXPECT_EQ(values.f32()[1], tensor::FromBF16(tensor::ToBF16(-3.14159265F)));
  EXPECT_EQ(values.f32()[2], 0);
}

}  // namespace
}  // namespace metier::merge
