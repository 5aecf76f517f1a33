#include "specialist/recipe.h"

#include "specialist/stage.h"
#include "support/fixtures.h"

namespace metier::specialist {
namespace {

constexpr char kRecipe[] = R"(
name: small
seed: 3
inputs: {words: words.txt}
stages:
  one:
    command: {run: [[echo, "${words}", "${out}"]]}
  two:
    command: {run: [[echo, "${one}/x", "${seed}"]], outputs: [y]}
)";

Result<Recipe> Parse(const std::string& text) {
  METIER_ASSIGN(const Json document, ParseYaml(text));
  return ParseRecipe(document, "folder/recipe.yaml");
}

TEST(Recipe, StagesKeepTheirOrderAndKind) {
  ASSERT_OK_AND_ASSIGN(const Recipe recipe, Parse(kRecipe));
  EXPECT_EQ(recipe.name, "small");
  EXPECT_EQ(recipe.seed, 3);
  EXPECT_EQ(recipe.folder, "folder");
  ASSERT_EQ(recipe.stages.size(), 2U);
  EXPECT_EQ(recipe.stages[0].name, "one");
  EXPECT_EQ(recipe.stages[1].kind, "command");
}

TEST(Recipe, MistakesAreNamedWithTheirPlaceAndTheNearestName) {
  const std::string head = "name: a\nstages:\n";
  EXPECT_ERROR(Parse("name: a\nstage: {}\n"), ErrorCode::kDataCorrupt, "did you mean 'stages'?");
  EXPECT_ERROR(Parse("stages: {}\n"), ErrorCode::kDataCorrupt, "'name' is required");
  EXPECT_ERROR(Parse("name: a\nstages: {}\n"), ErrorCode::kDataCorrupt, "found none");
  EXPECT_ERROR(Parse("name: a/b\nstages: {}\n"), ErrorCode::kDataCorrupt, "found name 'a/b'");
  EXPECT_ERROR(Parse(head + "  x: {comand: {}}\n"), ErrorCode::kDataCorrupt,
               "did you mean 'command'?");
  EXPECT_ERROR(Parse(head + "  x: {command: {run: [[a]], ouputs: []}}\n"), ErrorCode::kDataCorrupt,
               "stages.x.command: unknown key 'ouputs': did you mean 'outputs'?");
  EXPECT_ERROR(Parse(head + "  x: {command: {run: [a]}}\n"), ErrorCode::kDataCorrupt,
               "stages.x.command.run[0]: found \"a\", expected a list");
  EXPECT_ERROR(Parse(head + "  x: {command: {run: [[]]}}\n"), ErrorCode::kDataCorrupt,
               "without a program");
  EXPECT_ERROR(Parse(head + "  x: {command: {run: [[a, '${y}']]}}\n"), ErrorCode::kDataCorrupt,
               "${y} is neither");
  EXPECT_ERROR(Parse(head + "  x: {command: {run: [[a, '${x}']]}}\n"), ErrorCode::kDataCorrupt,
               "${x} is neither");
  EXPECT_ERROR(Parse(head + "  x: {command: {run: [[a, '${ou}']]}}\n"), ErrorCode::kDataCorrupt,
               "did you mean ${out}?");
  EXPECT_ERROR(Parse(head + "  x: {command: {run: [[a, '${y']]}}\n"), ErrorCode::kDataCorrupt,
               "without its '}'");
  EXPECT_ERROR(Parse(head + "  out: {command: {run: [[a]]}}\n"), ErrorCode::kDataCorrupt,
               "name is taken");
  EXPECT_ERROR(Parse(head + "  x: {command: {run: [[a]]}, train: {}}\n"), ErrorCode::kDataCorrupt,
               "found 2 keys");
}

TEST(Recipe, SubstituteReplacesInEveryText) {
  const Json config = {{"a", Json::array({"${x}/b${x}", 1})}, {"c", {{"d", "$ {x} ${y}"}}}};
  ASSERT_OK_AND_ASSIGN(const Json done, Substitute(config, {{"x", "${y}"}, {"y", "Y"}}, "here"));
  // A value that looks like a reference is not one.
  EXPECT_EQ(DumpCompact(done), R"({"a":["${y}/b${y}",1],"c":{"d":"$ {x} Y"}})");
  EXPECT_ERROR(Substitute(config, {{"x", "1"}}, "here"), ErrorCode::kDataCorrupt,
               "here: ${y} names nothing");
}

TEST(Recipe, OverridesChangeTheDocumentBeforeItIsRead) {
  const test::TempFolder folder;
  test::WriteAll(folder / "recipe.yaml", kRecipe);
  test::WriteAll(folder / "words.txt", "w");
  test::WriteAll(folder / "other.txt", "o");
  ASSERT_OK_AND_ASSIGN(const Override seed, ParseOverride("seed=9"));
  ASSERT_OK_AND_ASSIGN(const Override words, ParseOverride("inputs.words=" + folder / "other.txt"));
  ASSERT_OK_AND_ASSIGN(const Override deep, ParseOverride("stages.two.command.outputs=[z]"));
  ASSERT_OK_AND_ASSIGN(const Recipe recipe,
                       ReadRecipe(folder / "recipe.yaml", {seed, words, deep}));
  EXPECT_EQ(recipe.seed, 9);
  EXPECT_THAT(recipe.inputs.at("words"), ::testing::EndsWith("/other.txt"));
  EXPECT_EQ(DumpCompact(recipe.stages[1].config["outputs"]), R"(["z"])");
  EXPECT_ERROR(ParseOverride("seed"), ErrorCode::kInvalidArgument, "PLACE=VALUE");
  EXPECT_ERROR(ReadRecipe(folder / "recipe.yaml", {{"seed.x", "1"}}), ErrorCode::kInvalidArgument,
               "'x' is not a key");
}

TEST(Recipe, AbsentInputsAreFoundBeforeAnythingRuns) {
  const test::TempFolder folder;
  test::WriteAll(folder / "recipe.yaml", kRecipe);
  EXPECT_ERROR(ReadRecipe(folder / "recipe.yaml"), ErrorCode::kNotFound, "input 'words'");
}

TEST(Recipe, SchemaNamesEveryKind) {
  const Json schema = RecipeSchema();
  const Json& kinds = schema["properties"]["stages"]["additionalProperties"]["properties"];
  for (const StageKind* kind : StageKinds())
    EXPECT_TRUE(kinds.contains(std::string(kind->name))) << kind->name;
  EXPECT_EQ(kinds["command"]["required"], Json::array({"run"}));
}

}  // namespace
}  // namespace metier::specialist
