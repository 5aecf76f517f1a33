// PEFT adapters applied at run time against weights merged in float64.
#include <gtest/gtest.h>

#include "fixture_models.h"
#include "format/peft.h"
#include "model/adapter.h"

namespace metier::parity {
namespace {

struct LoraFixture {
  const char* name;
  const char* base;
  const char* expected;  // which of the stored results, and how near (fixtures/README.md)
  double tolerance;
};

class FixtureAdapter : public ::testing::TestWithParam<LoraFixture> {};

TEST_P(FixtureAdapter, MatchesMergedWeights) {
  METIER_NEEDS_SHARED(shared);
  const LoraFixture& lora = GetParam();
  const std::string base = shared + "/fixtures/models/" + lora.base;
  const std::string folder = shared + "/fixtures/lora/" + lora.name;
  ASSERT_OK_AND_ASSIGN(const auto model,
                       engine::NativeModel::Open(Unpacked(base + "/model.tar.zst") + "/hf"));
  ASSERT_OK_AND_ASSIGN(const auto peft, format::OpenPeftAdapter(folder));
  ASSERT_OK_AND_ASSIGN(const auto adapter, model::ToAdapter(model->spec(), peft));
  engine::NativeBackend backend(model);
  ASSERT_OK_AND_ASSIGN(const auto id, backend.AddAdapter(adapter));
  for (const std::string sequence : {"seq17", "seq64"}) {
    const auto tokens = TokensOf(base + "/tokens.json", sequence);
    const auto expected = test::ReadF32(folder + "/" + sequence + lora.expected);
    EXPECT_LE(LargestDifference(RunText(backend, tokens, {}, id), expected), lora.tolerance)
        << sequence;
    EXPECT_GT(LargestDifference(RunText(backend, tokens), expected), 1)
        << "the base alone is as near";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Fixtures, FixtureAdapter,
    ::testing::Values(LoraFixture{"llama_plain", "llama", ".ref_f32.bin", 1e-4},
                      LoraFixture{"llama_rslora_patterns", "llama", ".ref_f32.bin", 1e-4},
                      LoraFixture{"gpt2_fan_in_fan_out", "gpt2", ".ref_f32.bin", 1e-4},
                      LoraFixture{"gpt2_fan_in_fan_out", "gpt2", ".logits_f32.bin", 5e-3}),
    [](const auto& row) {
      return std::string(row.param.name) + (row.param.tolerance > 1e-4 ? "_oracle" : "");
    });

}  // namespace
}  // namespace metier::parity
