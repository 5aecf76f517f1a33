// PEFT's prefix tuning on disk.
#include "format/prefix_tuning.h"

#include <vector>

#include "support/fixtures.h"

namespace metier::format {
namespace {

using test::TempFolder;
using test::WriteAll;

class PrefixFiles : public ::testing::Test {
 protected:
  // Two tokens of a layer with two heads of three.
  Status Write(const PrefixTuningConfig& config) {
    tensor::TensorView view;
    view.shape = {2, 12};
    view.bytes = std::as_bytes(std::span(values_));
    return WritePrefixTuning(folder_.path(), config, view);
  }
  void Config(const std::string& key, const Json& value) {
    Json config = {{"peft_type", "PREFIX_TUNING"},
                   {"num_virtual_tokens", 2},
                   {"num_layers", 1},
                   {"num_attention_heads", 2},
                   {"token_dim", 6}};
    if (value.is_null()) {
      config.erase(key);
    } else {
      config[key] = value;
    }
    WriteAll(folder_ / "adapter_config.json", DumpPretty(config));
  }
  TempFolder folder_;
  std::vector<float> values_ = std::vector<float>(24, 0.5F);
};

TEST_F(PrefixFiles, AreReadAsTheyWereWritten) {
  EXPECT_FALSE(IsPrefixTuning(folder_.path()));
  ASSERT_OK(Write({.tokens = 2,
                   .layers = 1,
                   .heads = 2,
                   .token_dim = 6,
                   .base_model = "base",
                   .document = {{"task_type", "CAUSAL_LM"}, {"of_another_program", 7}}}));
  EXPECT_TRUE(IsPrefixTuning(folder_.path()));
  ASSERT_OK_AND_ASSIGN(const PrefixTuning prefix, OpenPrefixTuning(folder_.path()));
  EXPECT_EQ(prefix.config.tokens, 2);
  EXPECT_EQ(prefix.config.base_model, "base");
  EXPECT_EQ(prefix.config.document.at("of_another_program"), 7);
  EXPECT_TRUE(std::ranges::equal(prefix.values.bytes, std::as_bytes(std::span(values_))));
  EXPECT_ERROR(
      Write(
          {.tokens = 3, .layers = 1, .heads = 2, .token_dim = 6, .base_model = {}, .document = {}}),
      ErrorCode::kInvalidArgument, "[3, 12] expected");
}

TEST_F(PrefixFiles, AreRefusedWithWhatIsWrong) {
  ASSERT_OK(Write(
      {.tokens = 2, .layers = 1, .heads = 2, .token_dim = 6, .base_model = {}, .document = {}}));
  const struct {
    const char* key;
    Json value;
    ErrorCode code;
    const char* message;
  } cases[] = {
      {"peft_type", "LORA", ErrorCode::kUnsupported, "\"PREFIX_TUNING\" expected"},
      {"num_transformer_submodules", 2, ErrorCode::kUnsupported, "only a decoder alone"},
      {"num_virtual_tokens", nullptr, ErrorCode::kDataCorrupt, "\"num_virtual_tokens\" is missing"},
      {"num_virtual_tokens", 0, ErrorCode::kDataCorrupt, "a whole number from 1"},
      {"num_layers", 1e9, ErrorCode::kDataCorrupt, "\"num_layers\" is"},
      {"num_layers", 3000000, ErrorCode::kDataCorrupt, "\"num_layers\" is"},
      {"num_attention_heads", 4, ErrorCode::kDataCorrupt, "a multiple of"},
      {"token_dim", 8, ErrorCode::kDataCorrupt, "[2, 16] expected by its config"},
  };
  for (const auto& wrong : cases) {
    Config(wrong.key, wrong.value);
    EXPECT_ERROR(OpenPrefixTuning(folder_.path()), wrong.code, wrong.message);
  }
  WriteAll(folder_ / "adapter_config.json", "[]");
  EXPECT_FALSE(IsPrefixTuning(folder_.path()));
  EXPECT_ERROR(OpenPrefixTuning(folder_.path()), ErrorCode::kDataCorrupt, "not a JSON object");
}

}  // namespace
}  // namespace metier::format
