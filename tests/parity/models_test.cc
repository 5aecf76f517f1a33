// Every fixture model, from the Hugging Face directory and from GGUF, against the float64
// reference.
#include <gtest/gtest.h>

#include <filesystem>

#include "engine/embedding.h"
#include "fixture_models.h"
#include "kernels/dispatch.h"

namespace metier::parity {
namespace {

// The oracle's own float32 error is 1e-6 to 4e-5 (fixtures/README.md).
constexpr double kTolerance = 1e-4;

class FixtureModel : public ::testing::TestWithParam<const char*> {};

TEST_P(FixtureModel, MatchesTheReferenceFromDirectoryAndGguf) {
  METIER_NEEDS_SHARED(shared);
  const std::string name = GetParam();
  const std::string fixture = shared + "/fixtures/models/" + name;
  const std::string& folder = Unpacked(fixture + "/model.tar.zst");
  for (const char* form : {"hf", "model.gguf"}) {
    ASSERT_OK_AND_ASSIGN(const auto model, engine::NativeModel::Open(folder + "/" + form));
    engine::NativeBackend backend(model);
    for (const char* sequence : {"seq17", "seq64"}) {
      SCOPED_TRACE(name + "/" + form + " " + sequence);
      const auto tokens = TokensOf(fixture + "/tokens.json", sequence);
      const std::string base = fixture + "/" + sequence;
      if (model->spec().head) {
        EXPECT_LE(LargestDifference(RunText(backend, tokens), test::ReadF32(base + ".ref_f32.bin")),
                  kTolerance);
        continue;
      }
      EXPECT_LE(
          LargestDifference(RunText(backend, tokens), test::ReadF32(base + ".ref_none_f32.bin")),
          kTolerance);
      ASSERT_OK_AND_ASSIGN(const auto mean, engine::Embed(backend, tokens));
      EXPECT_LE(LargestDifference(mean, test::ReadF32(base + ".ref_mean_f32.bin")), kTolerance);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, FixtureModel,
                         ::testing::Values("bert", "bloom", "gemma", "gpt2", "llama",
                                           "llama_rope_linear", "llama_rope_llama3", "mixtral",
                                           "qwen2", "qwen3", "smallthinker"),
                         [](const auto& row) { return std::string(row.param); });

TEST(FixtureModels, NoneIsLeftOut) {
  METIER_NEEDS_SHARED(shared);
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(shared + "/fixtures/models"))
    count += entry.is_directory() ? 1 : 0;
  EXPECT_EQ(count, 11U) << "a new fixture model is not in the list above";
}

TEST(FixtureModels, BertHonoursTokenTypes) {
  METIER_NEEDS_SHARED(shared);
  const std::string fixture = shared + "/fixtures/models/bert";
  const std::string& folder = Unpacked(fixture + "/model.tar.zst");
  const Json document = ReadJsonFile(fixture + "/tokens.json").value();
  for (const char* form : {"hf", "model.gguf"}) {
    ASSERT_OK_AND_ASSIGN(const auto model, engine::NativeModel::Open(folder + "/" + form));
    engine::NativeBackend backend(model);
    for (const std::string sequence : {"seq17", "seq64"}) {
      const auto tokens = document.at(sequence).get<std::vector<std::int32_t>>();
      const auto types = document.at("token_types").at(sequence).get<std::vector<std::int32_t>>();
      const auto expected = test::ReadF32(fixture + "/" + sequence + ".ref_none_types_f32.bin");
      EXPECT_LE(LargestDifference(RunText(backend, tokens, types), expected), kTolerance)
          << form << " " << sequence;
      EXPECT_GT(LargestDifference(RunText(backend, tokens), expected), 0.01)
          << "types change nothing";
    }
  }
}

// The same weights stored as BF16 and F16: other values, so close to the F32 run only as far as the
// rounding goes; and exactly the same function on every instruction set that reads them.
TEST(FixtureModels, HalfPrecisionDirectoriesLoad) {
  METIER_NEEDS_SHARED(shared);
  const std::string fixture = shared + "/fixtures/models/llama_rope_llama3";
  const std::string& folder = Unpacked(fixture + "/model.tar.zst");
  const auto tokens = TokensOf(fixture + "/tokens.json", "seq64");
  const auto expected = test::ReadF32(fixture + "/seq64.ref_f32.bin");
  // Weights of six significant bits are exact in both types (fixtures/README.md).
  for (const char* form : {"hf_bf16", "hf_f16"}) {
    ASSERT_OK_AND_ASSIGN(const auto model, engine::NativeModel::Open(folder + "/" + form));
    for (const kernels::KernelTable* table : kernels::SupportedTables()) {
      engine::NativeBackend backend(model, {.kernels = table});
      EXPECT_LE(LargestDifference(RunText(backend, tokens), expected), kTolerance)
          << form << " " << table->name;
    }
  }
}

}  // namespace
}  // namespace metier::parity
