#include "merge/extract.h"

#include <cfloat>
#include <cmath>
#include <map>

#include "format/peft.h"
#include "merging.h"
#include "model/adapter.h"
#include "model/merge.h"

namespace metier::merge {
namespace {

using metier::test::TempFolder;
using tensor::DType;
using tensor::Tensor;
using test::TinySpec;

model::ParameterReader RandomReader(const model::ModelSpec& spec, std::uint64_t seed) {
  return [spec, seed](const std::string& name) {
    return model::RandomParameter(spec, name, seed, 0.1);
  };
}

// A PEFT adapter of rank 2 on every linear module but the head, each side drawn by itself.
model::Adapter KnownAdapter(const model::ModelSpec& spec) {
  model::Adapter adapter;
  Rng rng(17);
  const auto fill = [&rng](Tensor& tensor) {
    for (float& value : tensor.f32()) value = static_cast<float>(0.1 * rng.Normal());
  };
  for (const model::LinearModule& module : model::LinearModules(spec)) {
    if (module.parts.front().linear == "head") continue;
    Tensor a(DType::kF32, {2, module.in});
    fill(a);
    for (const model::LinearModule::Part& part : module.parts) {
      Tensor b(DType::kF32, {part.out, 2});
      fill(b);
      adapter.deltas.push_back({.linear = part.linear, .a = a, .b = b, .scale = 0.5});
    }
  }
  return adapter;
}

double Distance(std::span<const float> a, std::span<const float> b) {
  double squares = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    squares += difference * difference;
  }
  return std::sqrt(squares);
}

double Norm(std::span<const float> a) { return Distance(a, std::vector<float>(a.size(), 0)); }

// Fused modules (gpt2, bloom), Conv1D (gpt2), experts (mixtral), and the plain case.
class Extract : public ::testing::TestWithParam<const char*> {};

TEST_P(Extract, ReproducesAKnownAdapterToRounding) {
  const model::ModelSpec spec = TinySpec(GetParam(), 2);
  const model::ParameterReader base = RandomReader(spec, 1);
  ASSERT_OK_AND_ASSIGN(const model::MergedModel tuned,
                       model::Merge(spec, base, KnownAdapter(spec)));
  ASSERT_OK_AND_ASSIGN(const Extraction found,
                       ExtractAdapter(spec, base, spec, tuned.read, {.rank = 4}));
  EXPECT_TRUE(found.left_out.empty());

  // Through the files, as PEFT and Metier read them.
  const TempFolder folder;
  ASSERT_OK(format::WritePeftAdapter(folder.path(), found.config, found.modules, found.saved));
  ASSERT_OK_AND_ASSIGN(const format::PeftAdapter peft, format::OpenPeftAdapter(folder.path()));
  ASSERT_OK_AND_ASSIGN(const model::Adapter adapter, model::ToAdapter(spec, peft));
  ASSERT_OK_AND_ASSIGN(const model::MergedModel again, model::Merge(spec, base, adapter));
  for (const model::Parameter& parameter : model::Parameters(spec)) {
    ASSERT_OK_AND_ASSIGN(const Tensor before, base(parameter.name));
    ASSERT_OK_AND_ASSIGN(const Tensor expected, tuned.read(parameter.name));
    ASSERT_OK_AND_ASSIGN(const Tensor merged, again.read(parameter.name));
    // The tuned weights are rounded, 2^-24 of their norm |W|; no factors of rank 2 are nearer to
    // the difference than the known ones, so those found err by at most twice that (Eckart and
    // Young), their rounding (2^-23 of the sum of singular values, for rank 4 at most 2 |D|), and
    // the rounding of the sum. A fused module is factored as a whole: three parts in one norm.
    const double bound =
        std::sqrt(3.0) *
        (3 * Norm(expected.f32()) / 2 + 2 * Distance(expected.f32(), before.f32())) * FLT_EPSILON;
    EXPECT_LE(Distance(merged.f32(), expected.f32()), bound) << parameter.name;
  }
  for (const ExtractedModule& module : found.report) {
    EXPECT_LE(module.error, 1e-6) << module.path;
    EXPECT_GT(module.change, 0.01) << module.path;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Extract, ::testing::Values("llama", "gpt2", "bloom", "mixtral"),
                         [](const auto& row) { return std::string(row.param); });

TEST(ExtractAdapter, GivesEachModuleTheRankItsEnergyNeeds) {
  const model::ModelSpec spec = TinySpec("llama", 2);
  const model::ParameterReader base = RandomReader(spec, 1);
  model::Adapter adapter = KnownAdapter(spec);
  std::erase_if(adapter.deltas,
                [](const model::LoraDelta& delta) { return delta.linear == "layers.1.attn.q"; });
  for (model::LoraDelta& delta : adapter.deltas) {
    if (delta.linear != "layers.0.ffn.up") continue;
    // Its second direction is a thousandth of the first.
    for (std::size_t i = 0; i < delta.b.f32().size(); i += 2) delta.b.f32()[i + 1] *= 1e-3F;
  }
  ASSERT_OK_AND_ASSIGN(const model::MergedModel tuned, model::Merge(spec, base, adapter));
  ASSERT_OK_AND_ASSIGN(const Extraction found,
                       ExtractAdapter(spec, base, spec, tuned.read, {.rank = 8, .energy = 0.9999}));
  std::map<std::string, std::int64_t> ranks;
  for (const ExtractedModule& module : found.report) ranks[module.path] = module.rank;
  EXPECT_EQ(ranks.at("model.layers.0.mlp.up_proj"), 1);
  EXPECT_EQ(ranks.at("model.layers.1.mlp.up_proj"), 2);
  EXPECT_FALSE(ranks.contains("model.layers.1.self_attn.q_proj"));  // was not changed
  EXPECT_EQ(found.config.rank, 2);
  EXPECT_EQ(found.config.ScaleOf("model.layers.0.mlp.up_proj"), 1);
  EXPECT_TRUE(found.config.Targets("model.layers.0.self_attn.q_proj"));
  EXPECT_FALSE(found.config.Targets("model.layers.1.self_attn.q_proj"));
  const TempFolder folder;
  EXPECT_OK(format::WritePeftAdapter(folder.path(), found.config, found.modules));
  EXPECT_OK(format::OpenPeftAdapter(folder.path()));
}

// Changes one parameter of a model.
model::ParameterReader WithChange(model::ParameterReader read, std::string changed) {
  return [read = std::move(read), changed = std::move(changed)](const std::string& name) {
    auto values = read(name);
    if (values.ok() && name == changed) values->f32()[3] += 1;
    return values;
  };
}

TEST(ExtractAdapter, SaysWhatTheAdapterDoesNotHold) {
  const model::ModelSpec spec = TinySpec("llama", 2);
  const model::ParameterReader base = RandomReader(spec, 1);
  model::ParameterReader tuned = WithChange(base, "layers.1.attn_norm.weight");
  tuned = WithChange(tuned, "layers.0.attn.v.weight");
  tuned = WithChange(tuned, "layers.0.ffn.down.weight");
  tuned = WithChange(tuned, "embed.tokens");
  ASSERT_OK_AND_ASSIGN(
      const Extraction found,
      ExtractAdapter(spec, base, spec, tuned, {.rank = 2, .target_modules = {"v_proj"}}));
  EXPECT_THAT(found.left_out, ::testing::ElementsAre("model.embed_tokens.weight",
                                                     "model.layers.0.mlp.down_proj.weight",
                                                     "model.layers.1.input_layernorm.weight"));
  ASSERT_EQ(found.report.size(), 1U);
  EXPECT_EQ(found.report[0].path, "model.layers.0.self_attn.v_proj");
  EXPECT_EQ(found.report[0].rank, 1);

  ASSERT_OK_AND_ASSIGN(
      const Extraction saved,
      ExtractAdapter(spec, base, spec, tuned, {.rank = 2, .modules_to_save = {"embed_tokens"}}));
  EXPECT_THAT(saved.left_out, ::testing::ElementsAre("model.layers.1.input_layernorm.weight"));
  const TempFolder folder;
  ASSERT_OK(format::WritePeftAdapter(folder.path(), saved.config, saved.modules, saved.saved));
  ASSERT_OK_AND_ASSIGN(const format::PeftAdapter peft, format::OpenPeftAdapter(folder.path()));
  ASSERT_OK_AND_ASSIGN(const model::Adapter adapter, model::ToAdapter(spec, peft));
  ASSERT_EQ(adapter.replaced.size(), 1U);
  EXPECT_EQ(test::ValuesOf(adapter.replaced[0].value), test::ValuesOf(tuned("embed.tokens")));
}

TEST(ExtractAdapter, RefusesWhatHoldsNothing) {
  const model::ModelSpec spec = TinySpec("llama", 2);
  const model::ParameterReader base = RandomReader(spec, 1);
  const auto code = ErrorCode::kInvalidArgument;
  EXPECT_ERROR(ExtractAdapter(spec, base, spec, base, {}), code, "do not differ in any");
  EXPECT_ERROR(ExtractAdapter(spec, base, spec, base, {.target_modules = {"q_prj"}}), code,
               "did you mean 'q_proj'?");
  model::ModelSpec other = spec;
  other.hidden += 1;
  EXPECT_ERROR(ExtractAdapter(spec, base, other, base, {}), code, "hidden is 48 and 49");
}

}  // namespace
}  // namespace metier::merge
