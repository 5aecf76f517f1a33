// Every model of the shared fixtures: its Hugging Face directory and its GGUF give the same spec
// and the same parameters, bit for bit. Row orders, fused layouts, transposes, expert slices,
// shifts and every name are in play at once.
#include <cstring>

#include "format/decode.h"
#include "model/model_files.h"
#include "support/fixtures.h"

namespace metier::model {
namespace {

using tensor::Tensor;

class FixtureModels : public ::testing::TestWithParam<const char*> {};

void ExpectSameTensor(const Tensor& a, const Tensor& b, const std::string& name) {
  ASSERT_EQ(a.shape(), b.shape()) << name;
  ASSERT_EQ(a.bytes().size(), b.bytes().size()) << name;
  EXPECT_EQ(std::memcmp(a.bytes().data(), b.bytes().data(), a.bytes().size()), 0) << name;
}

TEST_P(FixtureModels, HuggingFaceAndGgufAgree) {
  METIER_NEEDS_SHARED(shared);
  const test::TempFolder temp;
  test::UnpackTarZstd(shared + "/fixtures/models/" + GetParam() + "/model.tar.zst", temp.path());
  ASSERT_OK_AND_ASSIGN(const ModelFiles hf, ModelFiles::Open(temp / "hf"));
  ASSERT_OK_AND_ASSIGN(const ModelFiles gguf, ModelFiles::Open(temp / "model.gguf"));
  EXPECT_EQ(hf.kind(), ModelFiles::Kind::kHuggingFace);
  EXPECT_EQ(gguf.kind(), ModelFiles::Kind::kGguf);
  EXPECT_NE(gguf.gguf(), nullptr);
  EXPECT_EQ(&hf.family(), &gguf.family());
  EXPECT_TRUE(hf.spec() == gguf.spec());
  EXPECT_TRUE(hf.Unused().empty()) << hf.Unused().front();
  EXPECT_TRUE(gguf.Unused().empty()) << gguf.Unused().front();
  for (const Parameter& parameter : Parameters(hf.spec())) {
    ASSERT_OK_AND_ASSIGN(const Tensor a, hf.LoadF32(parameter.name));
    ASSERT_OK_AND_ASSIGN(const Tensor b, gguf.LoadF32(parameter.name));
    EXPECT_EQ(a.shape(), parameter.shape);
    ExpectSameTensor(a, b, parameter.name);
    for (const ModelFiles* files : {&hf, &gguf}) {  // the other ways to the same values
      ASSERT_OK_AND_ASSIGN(const Tensor stored, files->Load(parameter.name));
      EXPECT_EQ(stored.dtype(), files->StoredType(parameter.name));
      ExpectSameTensor(stored, a, parameter.name);
      const auto borrowed = files->Borrow(parameter.name);
      if (!borrowed) continue;
      ASSERT_OK_AND_ASSIGN(const Tensor decoded, format::DecodeTensor(*borrowed));
      ExpectSameTensor(decoded, a, parameter.name);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, FixtureModels,
                         ::testing::Values("bert", "bloom", "gemma", "gpt2", "llama",
                                           "llama_rope_linear", "llama_rope_llama3", "mixtral",
                                           "qwen2", "qwen3", "smallthinker"));

TEST(FixtureModels, StoriesAgreeToo) {
  METIER_NEEDS_SHARED(shared);
  const test::TempFolder temp;
  test::UnpackTarZstd(shared + "/fixtures/stories260k/model.tar.zst", temp.path());
  ASSERT_OK_AND_ASSIGN(const ModelFiles hf, ModelFiles::Open(temp / "hf"));
  ASSERT_OK_AND_ASSIGN(const ModelFiles gguf, ModelFiles::Open(temp / "stories260k.gguf"));
  EXPECT_TRUE(hf.spec() == gguf.spec());
  for (const Parameter& parameter : Parameters(hf.spec())) {
    ASSERT_OK_AND_ASSIGN(const Tensor a, hf.LoadF32(parameter.name));
    ASSERT_OK_AND_ASSIGN(const Tensor b, gguf.LoadF32(parameter.name));
    ExpectSameTensor(a, b, parameter.name);
  }
}

TEST(FixtureModels, HalfTypesHoldTheSameWeights) {
  METIER_NEEDS_SHARED(shared);
  const test::TempFolder temp;
  test::UnpackTarZstd(shared + "/fixtures/models/llama_rope_llama3/model.tar.zst", temp.path());
  ASSERT_OK_AND_ASSIGN(const ModelFiles full, ModelFiles::Open(temp / "hf"));
  for (const char* half : {"hf_bf16", "hf_f16"}) {
    ASSERT_OK_AND_ASSIGN(const ModelFiles files, ModelFiles::Open(temp / half));
    EXPECT_TRUE(files.spec() == full.spec());
    for (const Parameter& parameter : Parameters(full.spec())) {
      ASSERT_OK_AND_ASSIGN(const Tensor a, full.LoadF32(parameter.name));
      ASSERT_OK_AND_ASSIGN(const Tensor b, files.LoadF32(parameter.name));
      Tensor rounded(files.StoredType(parameter.name), a.shape());
      ASSERT_OK(format::EncodeFromF32(rounded.dtype(), a.f32(), rounded.bytes()));
      ASSERT_OK_AND_ASSIGN(const Tensor expected, format::DecodeTensor(rounded.view()));
      ExpectSameTensor(expected, b, parameter.name);
    }
  }
}

TEST(FixtureModels, EveryQuantisedModelLoads) {
  METIER_NEEDS_SHARED(shared);
  for (const char* type : {"Q4_0", "Q4_1", "Q5_0", "Q8_0", "Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M",
                           "Q6_K", "IQ4_NL", "IQ4_XS"}) {
    SCOPED_TRACE(type);
    ASSERT_OK_AND_ASSIGN(const ModelFiles files,
                         ModelFiles::Open(shared + "/fixtures/quant/" + type + ".gguf"));
    for (const Parameter& parameter : Parameters(files.spec())) {
      // q and k have their rows picked: the same values whether before decoding or after.
      ASSERT_OK_AND_ASSIGN(const Tensor decoded, files.LoadF32(parameter.name));
      ASSERT_OK_AND_ASSIGN(const Tensor stored, files.Load(parameter.name));
      EXPECT_EQ(stored.dtype(), files.StoredType(parameter.name));
      ASSERT_OK_AND_ASSIGN(const Tensor again, format::DecodeTensor(stored.view()));
      ExpectSameTensor(decoded, again, parameter.name);
    }
    EXPECT_FALSE(files.Borrow("layers.0.attn.q.weight"));
    EXPECT_TRUE(files.Borrow("layers.0.attn.v.weight"));
  }
}

}  // namespace
}  // namespace metier::model
