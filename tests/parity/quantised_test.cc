// Models of every block type against the same model dequantised to F32.
#include <gtest/gtest.h>

#include <filesystem>

#include "fixture_models.h"

namespace metier::parity {
namespace {

TEST(QuantisedModels, MatchTheirDequantisedTwins) {
  METIER_NEEDS_SHARED(shared);
  const std::string fixture = shared + "/fixtures/quant";
  const auto tokens = TokensOf(fixture + "/tokens.json", "seq24");
  const test::TempFolder unpacked;
  std::size_t models = 0;
  for (const auto& entry : std::filesystem::directory_iterator(fixture)) {
    const std::string file = entry.path().filename().string();
    constexpr std::string_view kTwin = ".dequant_logits_f32.bin";
    if (file.size() <= kTwin.size() || file.substr(file.size() - kTwin.size()) != kTwin) continue;
    const std::string type = file.substr(0, file.size() - kTwin.size());
    std::string path = fixture + "/" + type + ".gguf";
    if (!std::filesystem::exists(path)) {
      test::WriteAll(unpacked / (type + ".gguf"), test::ReadZstd(path + ".zst"));
      path = unpacked / (type + ".gguf");
    }
    ASSERT_OK_AND_ASSIGN(const auto model, engine::NativeModel::Open(path));
    engine::NativeBackend backend(model);
    EXPECT_LE(LargestDifference(RunText(backend, tokens), test::ReadF32(entry.path().string())),
              1e-4)
        << type;
    ++models;
  }
  EXPECT_EQ(models, 13U);
}

}  // namespace
}  // namespace metier::parity
