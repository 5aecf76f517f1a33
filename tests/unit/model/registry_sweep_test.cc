// Nothing registered is half-built: every family's tiny model goes to disk and comes back.
#include <algorithm>
#include <cstring>
#include <filesystem>

#include "format/decode.h"
#include "model/model_files.h"
#include "support/fixtures.h"

namespace metier::model {
namespace {

using tensor::DType;
using tensor::Tensor;

class EveryFamily : public ::testing::TestWithParam<const Family*> {
 protected:
  static ParameterReader RandomOf(const ModelSpec& spec) {
    return
        [&spec](const std::string& name) { return RandomParameter(spec, name, /*seed=*/7, 0.1); };
  }
};

// Bit equality. Norms that apply 1 + w are stored as that sum in GGUF, which rounds w: the applied
// value is what must survive.
void ExpectParameters(const ModelFiles& files, const ModelSpec& spec,
                      const ParameterReader& expected) {
  for (const Parameter& parameter : Parameters(spec)) {
    ASSERT_OK_AND_ASSIGN(const Tensor found, files.LoadF32(parameter.name));
    ASSERT_OK_AND_ASSIGN(const Tensor wanted, expected(parameter.name));
    ASSERT_EQ(found.shape(), wanted.shape()) << parameter.name;
    const bool sum = spec.norm.plus_one && parameter.name.ends_with("norm.weight") &&
                     files.kind() == ModelFiles::Kind::kGguf;
    for (std::size_t i = 0; i < found.f32().size(); ++i) {
      const float shift = sum ? 1.0F : 0.0F;
      ASSERT_EQ(found.f32()[i] + shift, wanted.f32()[i] + shift) << parameter.name << " " << i;
    }
  }
}

TEST_P(EveryFamily, TinyIsValidAndSmall) {
  const ModelSpec spec = GetParam()->tiny();
  EXPECT_OK(Validate(spec));
  EXPECT_EQ(spec.family, GetParam()->name);
  EXPECT_EQ(spec.vocab, 320);
  EXPECT_LT(ParameterCount(spec), 200'000);
}

TEST_P(EveryFamily, ConfigGivesTheSpecBack) {
  const ModelSpec spec = GetParam()->tiny();
  ASSERT_OK_AND_ASSIGN(ModelSpec again, GetParam()->from_config(GetParam()->to_config(spec)));
  again.pooling = spec.pooling;  // stands in modules.json
  EXPECT_TRUE(again == spec);
  EXPECT_EQ(GetParam()->to_config(again), GetParam()->to_config(spec));
}

TEST_P(EveryFamily, HuggingFaceDirectoryGivesTheModelBack) {
  const test::TempFolder temp;
  const ModelSpec spec = GetParam()->tiny();
  ASSERT_OK(WriteHuggingFaceModel(temp.path(), spec, DType::kF32, RandomOf(spec)));
  ASSERT_OK_AND_ASSIGN(const ModelFiles files, ModelFiles::Open(temp.path()));
  EXPECT_TRUE(files.spec() == spec);
  EXPECT_EQ(&files.family(), GetParam());
  EXPECT_TRUE(files.Unused().empty());
  ExpectParameters(files, spec, RandomOf(spec));
}

TEST_P(EveryFamily, GgufGivesTheModelBack) {
  if (GetParam()->to_gguf == nullptr) {
    EXPECT_EQ(GetParam()->from_gguf, nullptr);
    EXPECT_ERROR(WriteGgufModel("x", GetParam()->tiny(), {.dtype = DType::kF32}, {}, nullptr),
                 ErrorCode::kUnsupported, "no GGUF form");
    return;
  }
  const test::TempFolder temp;
  ModelSpec spec = GetParam()->tiny();
  if (!GetParam()->to_gguf(spec).ok()) {  // tiny windows that GGUF has no key for
    EXPECT_TRUE(std::any_of(spec.layer.begin(), spec.layer.end(),
                            [](const LayerSpec& layer) { return layer.sliding_window > 0; }));
    for (LayerSpec& layer : spec.layer)
      layer.sliding_window = spec.family == "smallthinker" && layer.rope ? 4096 : 0;
  }
  ASSERT_OK(WriteGgufModel(temp / "m.gguf", spec, {.dtype = DType::kF32},
                           {{"general.name", std::string("t")}}, RandomOf(spec)));
  ASSERT_OK_AND_ASSIGN(const ModelFiles files, ModelFiles::Open(temp / "m.gguf"));
  EXPECT_TRUE(files.spec() == spec);
  EXPECT_EQ(&files.family(), GetParam());
  EXPECT_TRUE(files.Unused().empty());
  EXPECT_EQ(*files.gguf()->Text("general.name"), "t");
  ExpectParameters(files, spec, RandomOf(spec));
}

TEST_P(EveryFamily, HalfTypesAndShardsHoldTheRoundedValues) {
  const test::TempFolder temp;
  const ModelSpec spec = GetParam()->tiny();
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    ASSERT_OK(WriteHuggingFaceModel(temp.path(), spec, dtype, RandomOf(spec)));
    ASSERT_OK_AND_ASSIGN(const ModelFiles files, ModelFiles::Open(temp.path()));
    ExpectParameters(files, spec, [&](const std::string& name) -> Result<Tensor> {
      METIER_ASSIGN(const Tensor exact, RandomParameter(spec, name, 7, 0.1));
      Tensor rounded(dtype, exact.shape());
      METIER_TRY(format::EncodeFromF32(dtype, exact.f32(), rounded.bytes()));
      return format::DecodeTensor(rounded.view());
    });
    EXPECT_EQ(files.StoredType("embed.tokens"), dtype);
  }
}

TEST_P(EveryFamily, WritesNothingWhenAParameterFails) {
  const test::TempFolder temp;
  const ModelSpec spec = GetParam()->tiny();
  const auto wrong = [](const std::string&) -> Result<Tensor> { return Tensor(DType::kF32, {1}); };
  EXPECT_ERROR(WriteHuggingFaceModel(temp / "m", spec, DType::kF32, wrong),
               ErrorCode::kInvalidArgument, "embed.tokens");
  EXPECT_TRUE(std::filesystem::is_empty(temp / "m"));
}

TEST_P(EveryFamily, RulesNameEveryParameterOnceAndInOrder) {
  const ModelSpec spec = GetParam()->tiny();
  const std::vector<Parameter> parameters = Parameters(spec);
  std::vector<std::vector<TensorRule>> forms = {GetParam()->hf_rules(spec)};
  if (GetParam()->gguf_rules != nullptr) forms.push_back(GetParam()->gguf_rules(spec));
  for (const std::vector<TensorRule>& rules : forms) {
    ASSERT_EQ(rules.size(), parameters.size());
    for (std::size_t i = 0; i < rules.size(); ++i) EXPECT_EQ(rules[i].ours, parameters[i].name);
  }
}

INSTANTIATE_TEST_SUITE_P(All, EveryFamily,
                         ::testing::ValuesIn(Families().begin(), Families().end()),
                         [](const auto& test) { return std::string(test.param->name); });

TEST(Registry, FindsByEveryNameAndSuggestsTheNearest) {
  EXPECT_EQ((*FindFamilyByModelType("qwen3_moe"))->name, "qwen3moe");
  EXPECT_EQ((*FindFamilyByGguf("llama"))->name, "llama");
  EXPECT_EQ((*FindFamily("biogpt"))->name, "biogpt");
  EXPECT_ERROR(FindFamilyByModelType("lama"), ErrorCode::kUnsupported, "did you mean 'llama'?");
  EXPECT_ERROR(FindFamilyByGguf("mistral"), ErrorCode::kUnsupported,
               "'mistral' is not one we know");
  EXPECT_ERROR(FindFamily("x"), ErrorCode::kUnsupported, "known: bert biogpt bloom gemma gpt2");
}

TEST(Registry, IsSortedByName) {
  EXPECT_TRUE(std::is_sorted(Families().begin(), Families().end(),
                             [](const Family* a, const Family* b) { return a->name < b->name; }));
}

}  // namespace
}  // namespace metier::model
