// The package stage: what a specialist consists of, and when it is made anew.
#include <fmt/format.h>

#include <filesystem>

#include "specialist/manifest.h"
#include "specialist/run.h"
#include "support/fixtures.h"

namespace metier::specialist {
namespace {

class Package : public ::testing::Test {
 protected:
  Package() {
    test::WriteAll(folder_ / "policy.md", "Be kind.\n");
    test::WriteAll(
        folder_ / "recipe.yaml",
        fmt::format("name: test\nseed: 1\nbase: {}/examples/retail/base_model\n"
                    "inputs: {{policy: policy.md}}\nstages:\n  specialist:\n"
                    "    package: {{name: test, base: '${{base}}', system: '${{policy}}',"
                    " documents: ['${{policy}}']}}\n",
                    test::SourceFolder()));
  }

  Result<RunOutcome> Make(std::vector<Override> changes = {}) {
    return RunRecipe({.recipe = folder_ / "recipe.yaml",
                      .folder = folder_ / "run",
                      .overrides = std::move(changes),
                      .again = {},
                      .until = {}});
  }

  test::TempFolder folder_;
};

TEST_F(Package, HoldsItsPartsAndHowItWasMade) {
  // What a training run writes beside its model names folders of this machine.
  std::filesystem::copy(test::SourceFolder() + "/examples/retail/base_model", folder_ / "model",
                        std::filesystem::copy_options::recursive);
  test::WriteAll(folder_ / "model/manifest.json", "{}");
  ASSERT_OK(Make({{"seed", "7"}, {"base", folder_ / "model"}}));
  ASSERT_OK_AND_ASSIGN(const Manifest manifest, VerifySpecialist(folder_ / "run/specialist"));
  EXPECT_EQ(manifest.family, "qwen2");
  EXPECT_EQ(manifest.tool_dialect, "hermes");
  EXPECT_EQ(test::ReadAll(folder_ / "run/specialist/policy.md"), "Be kind.\n");
  ASSERT_EQ(manifest.recipe, "recipe.json");
  EXPECT_TRUE(manifest.files.contains("recipe.json"));
  EXPECT_TRUE(manifest.files.contains("base/model.safetensors"));
  EXPECT_FALSE(manifest.files.contains("base/manifest.json"));
  ASSERT_OK_AND_ASSIGN(const Json recipe,
                       ParseJson(test::ReadAll(folder_ / "run/specialist/recipe.json")));
  EXPECT_EQ(recipe["seed"], 7);
  EXPECT_EQ(recipe["stages"]["specialist"]["package"]["base"], "${base}");
}

TEST_F(Package, IsMadeAnewWhenTheRecipeChanges) {
  ASSERT_OK(Make());
  ASSERT_OK_AND_ASSIGN(const RunOutcome same, Make());
  EXPECT_TRUE(same.stages[0].cached);
  ASSERT_OK_AND_ASSIGN(const RunOutcome other, Make({{"description", "another one"}}));
  EXPECT_FALSE(other.stages[0].cached);
}

TEST_F(Package, AnAlteredRecipeIsFound) {
  ASSERT_OK(Make());
  const std::string path = folder_ / "run/specialist/recipe.json";
  test::WriteAll(path, test::ReadAll(path) + " ");
  EXPECT_ERROR(VerifySpecialist(folder_ / "run/specialist"), ErrorCode::kDataCorrupt,
               "recipe.json");
}

}  // namespace
}  // namespace metier::specialist
