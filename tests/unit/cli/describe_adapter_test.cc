// metier inspect of what changes a model, beside LoRAs (cases/cli/inspect.case).
#include "cli/describe_adapter.h"

#include <filesystem>

#include "format/prefix_tuning.h"
#include "format/safetensors.h"
#include "model/hyper_files.h"
#include "model/mixture_files.h"
#include "model/svf_files.h"
#include "support/fixtures.h"

namespace metier::cli {
namespace {

tensor::Tensor Zeros(const tensor::Shape& shape) {
  return tensor::Tensor(tensor::DType::kF32, shape);
}

// A LoRA of rank 2 on one linear.
void WriteLora(const std::string& folder) {
  std::filesystem::create_directories(folder);
  test::WriteAll(folder + "/adapter_config.json",
                 R"({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]})");
  const std::string module = "base_model.model.model.layers.0.self_attn.q_proj.";
  const tensor::Tensor a = Zeros({2, 8});
  const tensor::Tensor b = Zeros({6, 2});
  ASSERT_OK(format::WriteSafetensors(
      folder + "/adapter_model.safetensors",
      {{module + "lora_A.weight", a.view()}, {module + "lora_B.weight", b.view()}}, {}));
}

TEST(DescribeAdapter, NamesTheExpertsOfAMixture) {
  const test::TempFolder folder;
  model::AdapterMixture mixture;
  mixture.by = model::RouteBy::kSequence;
  mixture.routers.push_back({.reads = "layers.0.attn.q",
                             .linears = {"layers.0.attn.q"},
                             .weight = Zeros({2, 8}),
                             .bias = Zeros({2})});
  const std::string path = folder / "mix";
  ASSERT_OK(model::WriteMixture(path, mixture, {"law", "care"}, "base"));
  for (const char* expert : {"law", "care"}) WriteLora(path + "/experts/" + expert);
  ASSERT_OK_AND_ASSIGN(const Json document, DescribePath(path, ListTensors::kNo));
  EXPECT_EQ(document.at("kind"), "mixture");
  EXPECT_EQ(document.at("route_by"), "sequence");
  EXPECT_EQ(document.at("base_model"), "base");
  ASSERT_EQ(document.at("experts").size(), 2U);
  EXPECT_EQ(document.at("experts")[1],
            (Json{{"name", "care"}, {"rank", 2}, {"alpha", 4.0}, {"parameters", 28}}));
  EXPECT_EQ(document.at("parameters"), 18);
}

TEST(DescribeAdapter, KnowsPrefixesSingularValuesAndHypernetworks) {
  const test::TempFolder folder;
  const tensor::Tensor values = Zeros({3, 2 * 2 * 8});
  ASSERT_OK(format::WritePrefixTuning(
      folder / "prefix", {.tokens = 3, .layers = 2, .heads = 2, .token_dim = 8, .base_model = "b"},
      values.view()));
  ASSERT_OK_AND_ASSIGN(const Json prefix, DescribePath(folder / "prefix", ListTensors::kYes));
  EXPECT_EQ(prefix.at("virtual_tokens"), 3);
  EXPECT_EQ(prefix.at("tensors")[0].at("name"), "prompt_embeddings");

  model::SvfFiles svf;
  svf.z.emplace("layers.0.attn.q", Zeros({8}));
  ASSERT_OK(model::WriteSvf(folder / "svf", svf));
  ASSERT_OK_AND_ASSIGN(const Json values_only, DescribePath(folder / "svf", ListTensors::kNo));
  EXPECT_EQ(values_only.at("linears"), 1);
  EXPECT_EQ(values_only.at("parameters"), 8);

  model::HyperFiles hyper;
  hyper.base_hash = std::string(64, '0');
  hyper.rank = 4;
  hyper.alpha = 8;
  hyper.target_modules = {"q_proj"};
  hyper.latent_size = 8;
  hyper.blocks = 1;
  std::filesystem::create_directories(folder / "hyper");
  const tensor::Tensor weights = Zeros({5});
  ASSERT_OK(
      format::WriteSafetensors(model::HyperTensors(folder / "hyper"), {{"w", weights.view()}}, {}));
  ASSERT_OK(model::WriteHyper(folder / "hyper", hyper));
  ASSERT_OK_AND_ASSIGN(const Json writes, DescribePath(folder / "hyper", ListTensors::kNo));
  EXPECT_EQ(writes.at("kind"), "hypernetwork");
  EXPECT_EQ(writes.at("rank"), 4);
  EXPECT_EQ(writes.at("parameters"), 5);
}

TEST(DescribeAdapter, SaysWhatIsBroken) {
  const test::TempFolder folder;
  std::filesystem::create_directories(folder / "mix");
  test::WriteAll(folder / "mix/mixture.json", "{}");
  EXPECT_ERROR(DescribePath(folder / "mix", ListTensors::kNo), ErrorCode::kNotFound,
               "router.safetensors");
}

}  // namespace
}  // namespace metier::cli
