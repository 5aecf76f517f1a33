#include "model/model_files.h"

#include <algorithm>
#include <functional>

#include "base/json.h"
#include "format/safetensors.h"
#include "support/fixtures.h"

namespace metier::model {
namespace {

using tensor::DType;
using tensor::Tensor;

class ModelFilesTest : public ::testing::Test {
 protected:
  // Writes the tiny model of a family into the folder; its tensors can then be changed.
  void Write(const char* family) {
    spec_ = (*FindFamily(family))->tiny();
    ASSERT_OK(WriteHuggingFaceModel(temp_.path(), spec_, DType::kF32, Random()));
  }
  ParameterReader Random() {
    return [this](const std::string& name) { return RandomParameter(spec_, name, 1); };
  }
  // Rewrites model.safetensors through `change`, which gets each tensor's name.
  void Rename(const std::function<std::string(const std::string&)>& change) {
    std::vector<format::NamedTensor> tensors;
    auto file = format::SafetensorsFile::Open(temp_ / "model.safetensors");
    ASSERT_OK(file);
    for (const std::string& name : file->Names()) {
      if (const std::string now = change(name); !now.empty())
        tensors.push_back({now, *file->Find(name)});
    }
    ASSERT_OK(format::WriteSafetensors(temp_ / "model.safetensors", tensors, {}));
  }
  void SetConfig(const std::string& key, Json value) {
    auto config = ReadJsonFile(temp_ / "config.json");
    ASSERT_OK(config);
    (*config)[key] = std::move(value);
    test::WriteAll(temp_ / "config.json", DumpPretty(*config));
  }
  Result<ModelFiles> Open() { return ModelFiles::Open(temp_.path()); }

  test::TempFolder temp_;
  ModelSpec spec_;
};

TEST_F(ModelFilesTest, NamesTheMissingParameterAndItsTensor) {
  Write("llama");
  Rename([](const std::string& name) {
    return name == "model.layers.1.mlp.up_proj.weight" ? "" : name;
  });
  EXPECT_ERROR(Open(), ErrorCode::kDataCorrupt,
               "parameter 'layers.1.ffn.up.weight' is missing: no tensor "
               "'model.layers.1.mlp.up_proj.weight'");
}

TEST_F(ModelFilesTest, SuggestsTyingWhereTheHeadIsMissing) {
  Write("llama");
  Rename([](const std::string& name) { return name == "lm_head.weight" ? "" : name; });
  EXPECT_ERROR(Open(), ErrorCode::kDataCorrupt, "should tie_word_embeddings be true?");
}

TEST_F(ModelFilesTest, NamesBothShapesWhereTheyDiffer) {
  Write("llama");
  SetConfig("intermediate_size", 50);
  EXPECT_ERROR(Open(), ErrorCode::kDataCorrupt,
               "has shape [48, 32], the config calls for [50, 32]");
  Write("gpt2");
  SetConfig("n_inner", 48);
  EXPECT_ERROR(Open(), ErrorCode::kDataCorrupt, "[24, 96], the config calls for [24, 48]");
}

TEST_F(ModelFilesTest, RefusesUnknownFamiliesAndFoldersWithoutModel) {
  EXPECT_ERROR(Open(), ErrorCode::kNotFound, "config.json");
  Write("llama");
  SetConfig("model_type", "lama");
  EXPECT_ERROR(Open(), ErrorCode::kUnsupported, "did you mean 'llama'?");
  SetConfig("model_type", 3);
  EXPECT_ERROR(Open(), ErrorCode::kDataCorrupt, "model_type");
  EXPECT_ERROR(ModelFiles::Open(temp_ / "absent.gguf"), ErrorCode::kNotFound, "absent.gguf");
  EXPECT_ERROR(ModelFiles::Open(temp_ / "config.json"), ErrorCode::kDataCorrupt, "not a GGUF file");
}

TEST_F(ModelFilesTest, FindsTheBodyUnderEitherPrefix) {
  for (const char* family : {"gpt2", "bloom", "biogpt", "bert"}) {
    SCOPED_TRACE(family);
    Write(family);
    const auto prefixes = (*FindFamily(family))->hf_prefixes;
    const std::string written(prefixes[0]);
    const std::string other(prefixes[1]);
    Rename([&](const std::string& name) { return other + name.substr(written.size()); });
    ASSERT_OK_AND_ASSIGN(const ModelFiles files, Open());
    ASSERT_OK_AND_ASSIGN(const Tensor found, files.LoadF32("layers.1.attn.k.weight"));
    ASSERT_OK_AND_ASSIGN(const Tensor expected,
                         RandomParameter(spec_, "layers.1.attn.k.weight", 1));
    EXPECT_TRUE(std::ranges::equal(found.bytes(), expected.bytes()));
  }
  Rename([](const std::string& name) { return "x." + name; });
  EXPECT_ERROR(Open(), ErrorCode::kDataCorrupt, "no token embedding");
}

TEST_F(ModelFilesTest, ReportsUnusedTensorsButNotKnownLeftovers) {
  Write("gpt2");
  const Tensor extra(DType::kF32, {1});
  auto file = format::SafetensorsFile::Open(temp_ / "model.safetensors");
  ASSERT_OK(file);
  std::vector<format::NamedTensor> tensors = {{"transformer.h.0.attn.bias", extra.view()},
                                              {"lm_head.weight", extra.view()},  // tied
                                              {"score.weight", extra.view()}};
  for (const std::string& name : file->Names()) tensors.push_back({name, *file->Find(name)});
  ASSERT_OK(format::WriteSafetensors(temp_ / "model.safetensors", tensors, {}));
  ASSERT_OK_AND_ASSIGN(const ModelFiles files, Open());
  EXPECT_THAT(files.Unused(), ::testing::ElementsAre("score.weight"));
}

TEST_F(ModelFilesTest, BorrowsWhatIsAlreadyOurs) {
  Write("gpt2");
  ASSERT_OK_AND_ASSIGN(const ModelFiles files, Open());
  EXPECT_FALSE(files.Borrow("layers.0.attn.q.weight"));  // Conv1D: transposed
  EXPECT_TRUE(files.Borrow("embed.tokens"));
  const auto bias = files.Borrow("layers.0.attn.k.bias");  // a slice of c_attn.bias
  ASSERT_TRUE(bias);
  ASSERT_OK_AND_ASSIGN(const Tensor expected, RandomParameter(spec_, "layers.0.attn.k.bias", 1));
  EXPECT_TRUE(std::ranges::equal(bias->bytes, expected.bytes()));
}

TEST_F(ModelFilesTest, ReadsPoolingAndRefusesWhatItDoesNotCompute) {
  Write("bert");
  ASSERT_OK_AND_ASSIGN(const ModelFiles mean, Open());
  EXPECT_EQ(mean.spec().pooling, Pooling::kMean);
  const std::string pooling = temp_ / "1_Pooling/config.json";
  test::WriteAll(pooling, R"({"pooling_mode_cls_token": true})");
  ASSERT_OK_AND_ASSIGN(const ModelFiles cls, Open());
  EXPECT_EQ(cls.spec().pooling, Pooling::kCls);
  test::WriteAll(pooling, R"({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true})");
  EXPECT_ERROR(Open(), ErrorCode::kUnsupported, "pooling_mode_mean_tokens");
  test::WriteAll(pooling, R"({"pooling_mode_max_tokens": true})");
  EXPECT_ERROR(Open(), ErrorCode::kUnsupported, "pooling_mode_max_tokens");
  test::WriteAll(temp_ / "modules.json",
                 R"([{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}])");
  EXPECT_ERROR(Open(), ErrorCode::kUnsupported, "models.Dense");
  test::WriteAll(temp_ / "modules.json",
                 R"([{"type": "sentence_transformers.models.Pooling", "path": "../x"}])");
  EXPECT_ERROR(Open(), ErrorCode::kDataCorrupt, "leaves the folder");
}

TEST_F(ModelFilesTest, WriterRefusesSpecsThatTheFormCannotHold) {
  spec_ = (*FindFamily("llama"))->tiny();
  spec_.qk_norm = true;
  EXPECT_ERROR(WriteHuggingFaceModel(temp_.path(), spec_, DType::kF32, Random()),
               ErrorCode::kInvalidArgument, "cannot express");
  spec_ = (*FindFamily("llama"))->tiny();
  spec_.rope = {.scaling = RopeScaling::kFactors, .factors = {1, 2, 3, 4}};
  EXPECT_ERROR(WriteHuggingFaceModel(temp_.path(), spec_, DType::kF32, Random()),
               ErrorCode::kInvalidArgument, "rotary factors");
  EXPECT_OK(WriteGgufModel(temp_ / "m.gguf", spec_, {.dtype = DType::kF32}, {}, Random()));
  EXPECT_ERROR(WriteHuggingFaceModel(temp_.path(), spec_, DType::kQ8_0, Random()),
               ErrorCode::kInvalidArgument, "Q8_0");
  EXPECT_ERROR(WriteGgufModel(temp_ / "m.gguf", spec_, {.dtype = DType::kQ8_K}, {}, Random()),
               ErrorCode::kInvalidArgument, "Q8_K");
  EXPECT_ERROR(WriteGgufModel(temp_ / "m.gguf", spec_,
                              {.dtype = DType::kQ4_K, .head_dtype = DType::kI64}, {}, Random()),
               ErrorCode::kInvalidArgument, "I64");
}

TEST_F(ModelFilesTest, GgufTypesFollowTheLengthOfRows) {
  spec_ = (*FindFamily("llama"))->tiny();
  spec_.width = 256;
  spec_.hidden = 96;  // whole blocks of 32 only
  ASSERT_OK(WriteGgufModel(temp_ / "m.gguf", spec_, {.dtype = DType::kQ4_K}, {}, Random()));
  ASSERT_OK_AND_ASSIGN(const ModelFiles mixed, ModelFiles::Open(temp_ / "m.gguf"));
  EXPECT_EQ(mixed.StoredType("embed.tokens"), DType::kQ6_K);
  EXPECT_EQ(mixed.StoredType("layers.0.ffn.up.weight"), DType::kQ4_K);
  EXPECT_EQ(mixed.StoredType("layers.0.ffn.down.weight"), DType::kQ5_0);
  EXPECT_EQ(mixed.StoredType("layers.0.attn_norm.weight"), DType::kF32);
  ASSERT_OK_AND_ASSIGN(const format::GgufFile file, format::GgufFile::Open(temp_ / "m.gguf"));
  const format::GgufValue* type = file.Metadata("general.file_type");
  ASSERT_NE(type, nullptr);
  EXPECT_EQ(std::get<std::uint64_t>(*type), 14U);

  spec_.width = 32;
  const GgufOptions same{.dtype = DType::kQ4_0, .head_dtype = DType::kQ4_0};
  ASSERT_OK(WriteGgufModel(temp_ / "m.gguf", spec_, same, {}, Random()));
  ASSERT_OK_AND_ASSIGN(const ModelFiles small, ModelFiles::Open(temp_ / "m.gguf"));
  EXPECT_EQ(small.StoredType("embed.tokens"), DType::kQ4_0);
  ASSERT_OK(WriteGgufModel(temp_ / "m.gguf", spec_, {.dtype = DType::kIQ4_XS}, {}, Random()));
  ASSERT_OK_AND_ASSIGN(const ModelFiles short_rows, ModelFiles::Open(temp_ / "m.gguf"));
  EXPECT_EQ(short_rows.StoredType("embed.tokens"), DType::kQ8_0);
  EXPECT_EQ(short_rows.StoredType("layers.0.attn.q.weight"), DType::kIQ4_NL);
}

TEST_F(ModelFilesTest, EncodesToTheSameBytesOnAnyNumberOfThreads) {
  spec_ = (*FindFamily("llama"))->tiny();
  spec_.width = 256;
  spec_.hidden = 512;  // tensors of several parts
  ASSERT_OK(WriteGgufModel(temp_ / "one.gguf", spec_, {.dtype = DType::kQ4_K, .threads = 1}, {},
                           Random()));
  ASSERT_OK(WriteGgufModel(temp_ / "three.gguf", spec_, {.dtype = DType::kQ4_K, .threads = 3}, {},
                           Random()));
  EXPECT_TRUE(test::ReadAll(temp_ / "one.gguf") == test::ReadAll(temp_ / "three.gguf"));
}

TEST_F(ModelFilesTest, QuantisedGgufKeepsSmallTensorsAndShortRows) {
  spec_ = (*FindFamily("mixtral"))->tiny();  // hidden 48: rows of `down` are no whole blocks
  ASSERT_OK(WriteGgufModel(temp_ / "m.gguf", spec_, {.dtype = DType::kQ8_0}, {}, Random()));
  ASSERT_OK_AND_ASSIGN(const ModelFiles files, ModelFiles::Open(temp_ / "m.gguf"));
  EXPECT_EQ(files.StoredType("layers.0.attn.q.weight"), DType::kQ8_0);
  EXPECT_EQ(files.StoredType("layers.0.experts.1.up.weight"), DType::kQ8_0);
  EXPECT_EQ(files.StoredType("layers.0.experts.1.down.weight"), DType::kF16);
  EXPECT_EQ(files.StoredType("layers.0.router.weight"), DType::kF32);
  EXPECT_EQ(files.StoredType("final_norm.weight"), DType::kF32);
  for (const char* name : {"layers.0.attn.q.weight", "layers.1.experts.3.up.weight"}) {
    ASSERT_OK_AND_ASSIGN(const Tensor found, files.LoadF32(name));
    ASSERT_OK_AND_ASSIGN(const Tensor exact, RandomParameter(spec_, name, 1));
    for (std::size_t i = 0; i < found.f32().size(); ++i) {
      // Half a step of absmax / 127, and the scale's rounding; weights stay below 6 sigma = 0.12.
      ASSERT_NEAR(found.f32()[i], exact.f32()[i], 0.12 / 254 + 0.12 * 0x1p-11) << name << " " << i;
    }
  }
}

TEST_F(ModelFilesTest, ReadsExpertsThatLieInTensorsOfTheirOwn) {
  spec_ = (*FindFamily("mixtral"))->tiny();
  ASSERT_OK(WriteGgufModel(temp_ / "m.gguf", spec_, {.dtype = DType::kF32}, {}, Random()));
  ASSERT_OK_AND_ASSIGN(const format::GgufFile whole, format::GgufFile::Open(temp_ / "m.gguf"));
  std::vector<format::NamedTensor> tensors;
  for (const std::string& name : whole.Names()) {
    const tensor::TensorView& view = *whole.Find(name);
    const std::size_t stacked = name.find("_exps");
    if (stacked == std::string::npos) {
      tensors.push_back({name, view});
      continue;
    }
    for (std::int64_t e = 0; e < spec_.moe.experts; ++e) {
      const std::size_t bytes = view.bytes.size() / static_cast<std::size_t>(spec_.moe.experts);
      tensors.push_back({name.substr(0, stacked) + "." + std::to_string(e) + ".weight",
                         {view.dtype,
                          {view.shape[1], view.shape[2]},
                          view.bytes.subspan(static_cast<std::size_t>(e) * bytes, bytes)}});
    }
  }
  ASSERT_OK(format::WriteGguf(temp_ / "old.gguf", whole.metadata(), tensors));
  ASSERT_OK_AND_ASSIGN(const ModelFiles old, ModelFiles::Open(temp_ / "old.gguf"));
  EXPECT_TRUE(old.Unused().empty());
  ASSERT_OK_AND_ASSIGN(const Tensor found, old.LoadF32("layers.1.experts.2.down.weight"));
  ASSERT_OK_AND_ASSIGN(const Tensor expected,
                       RandomParameter(spec_, "layers.1.experts.2.down.weight", 1));
  EXPECT_TRUE(std::ranges::equal(found.bytes(), expected.bytes()));
}

TEST(RandomParameter, DependsOnNameAndSeedAlone) {
  const ModelSpec spec = (*FindFamily("llama"))->tiny();
  ASSERT_OK_AND_ASSIGN(const Tensor a, RandomParameter(spec, "layers.0.attn.q.weight", 1));
  ASSERT_OK_AND_ASSIGN(const Tensor same, RandomParameter(spec, "layers.0.attn.q.weight", 1));
  ASSERT_OK_AND_ASSIGN(const Tensor seed, RandomParameter(spec, "layers.0.attn.q.weight", 2));
  ASSERT_OK_AND_ASSIGN(const Tensor name, RandomParameter(spec, "layers.1.attn.q.weight", 1));
  EXPECT_TRUE(std::ranges::equal(a.bytes(), same.bytes()));
  EXPECT_FALSE(std::ranges::equal(a.bytes(), seed.bytes()));
  EXPECT_FALSE(std::ranges::equal(a.bytes(), name.bytes()));
  EXPECT_ERROR(RandomParameter(spec, "layers.9.attn.q.weight", 1), ErrorCode::kInvalidArgument,
               "layers.9");
  ASSERT_OK_AND_ASSIGN(const Tensor norm, RandomParameter(spec, "final_norm.weight", 1));
  for (const float value : norm.f32()) EXPECT_NEAR(value, 1, 0.2);
}

}  // namespace
}  // namespace metier::model
