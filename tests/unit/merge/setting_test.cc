#include "merge/setting.h"

#include "merge/open_numbers.h"
#include "support/fixtures.h"

namespace metier::merge {
namespace {

Result<Setting> Parse(const std::string& yaml) {
  METIER_ASSIGN(const Json value, ParseYaml(yaml));
  recipe::Constraint share;
  share.AtLeast(0).AtMost(1);
  return Setting::Parse(value, "t", share);
}

TEST(Setting, IsTheSameEverywhere) {
  ASSERT_OK_AND_ASSIGN(const Setting setting, Parse("0.25"));
  EXPECT_EQ(setting.At("anything", 0), 0.25);
  EXPECT_EQ(setting.At("anything", 1), 0.25);
  ASSERT_OK_AND_ASSIGN(const Setting flag, Parse("true"));
  EXPECT_EQ(flag.At("", 0), 1);
}

TEST(Setting, RisesAlongTheLayers) {
  ASSERT_OK_AND_ASSIGN(const Setting setting, Parse("[0, 0.5, 0.7]"));
  EXPECT_EQ(setting.At("x", 0), 0);
  EXPECT_DOUBLE_EQ(*setting.At("x", 0.25), 0.25);
  EXPECT_EQ(setting.At("x", 0.5), 0.5);
  EXPECT_DOUBLE_EQ(*setting.At("x", 0.75), 0.6);
  EXPECT_EQ(setting.At("x", 1), 0.7);
  ASSERT_OK_AND_ASSIGN(const Setting one, Parse("[0.3]"));
  EXPECT_EQ(one.At("x", 0.9), 0.3);
}

TEST(Setting, TakesTheFirstFilterThatMatches) {
  ASSERT_OK_AND_ASSIGN(const Setting setting,
                       Parse("[{filter: self_attn, value: [0, 1]}, {filter: mlp, value: 0.5}]"));
  EXPECT_EQ(setting.At("model.layers.0.self_attn.q_proj.weight", 0.25), 0.25);
  EXPECT_EQ(setting.At("model.layers.0.mlp.up_proj.weight", 0.25), 0.5);
  EXPECT_EQ(setting.At("model.norm.weight", 0.25), std::nullopt);
  EXPECT_THAT(setting.Filters(), ::testing::ElementsAre("self_attn", "mlp"));
  ASSERT_OK_AND_ASSIGN(const Setting rest,
                       Parse("[{filter: mlp, value: 0.5}, {filter: \"*\", value: 0.1}]"));
  EXPECT_EQ(rest.At("model.norm.weight", 0), 0.1);
  EXPECT_THAT(rest.Filters(), ::testing::ElementsAre("mlp"));
}

TEST(Setting, IsAbsentWhenNothingIsWritten) {
  ASSERT_OK_AND_ASSIGN(const Setting setting, Setting::Parse(nullptr, "t", {}));
  EXPECT_FALSE(setting.given());
  EXPECT_EQ(setting.At("x", 0), std::nullopt);
}

TEST(Setting, RefusesOtherForms) {
  const auto code = ErrorCode::kDataCorrupt;
  EXPECT_ERROR(Parse("abc"), code, "t: found \"abc\", expected a number");
  EXPECT_ERROR(Parse("[]"), code, "t: found a list");
  EXPECT_ERROR(Parse("[0.5, 2]"), code, "t[1]: found 2, expected at least 0 and at most 1");
  EXPECT_ERROR(Parse("[{filtre: mlp, value: 1}]"), code, "did you mean 'filter'?");
  EXPECT_ERROR(Parse("[{filter: mlp}]"), code, "t[0]: key 'value' is required");
  EXPECT_ERROR(Parse("[0.5, {filter: mlp, value: 1}]"), code, "t[1]: found a mapping");
  EXPECT_ERROR(Parse(".inf"), code, "t: found");
  EXPECT_ERROR(Parse("{search: [0, 1]}"), ErrorCode::kInvalidArgument, "`metier merge evolve`");
}

Json Yaml(const std::string& text) {
  const auto parsed = ParseYaml(text);
  EXPECT_TRUE(parsed.ok());
  return parsed.ok() ? *parsed : Json();
}

TEST(OpenNumbers, AreFoundAndFilledInTheirOrder) {
  const Json document = Yaml(
      "models:\n"
      "  - {model: a, parameters: {weight: {search: [0, 2], points: 3}}}\n"
      "  - model: b\n"
      "    parameters:\n"
      "      density: [{filter: mlp, value: {search: [0.1, 1], start: 0.4}}]\n");
  ASSERT_OK_AND_ASSIGN(const std::vector<OpenNumber> open, FindOpenNumbers(document));
  ASSERT_EQ(open.size(), 4U);
  EXPECT_EQ(open[0].path, "models[0].parameters.weight[0]");
  EXPECT_EQ(open[2].path, "models[0].parameters.weight[2]");
  EXPECT_EQ(open[2].start, 1);
  EXPECT_EQ(open[3].path, "models[1].parameters.density[0].value");
  EXPECT_EQ(open[3].low, 0.1);
  EXPECT_EQ(open[3].start, 0.4);
  const std::vector<double> numbers = {0.25, 0.5, 0.75, 0.875};
  EXPECT_EQ(FillOpenNumbers(document, numbers),
            Yaml("models:\n"
                 "  - {model: a, parameters: {weight: [0.25, 0.5, 0.75]}}\n"
                 "  - model: b\n"
                 "    parameters:\n"
                 "      density: [{filter: mlp, value: 0.875}]\n"));
}

TEST(OpenNumbers, RefuseOtherForms) {
  const auto find = [](const std::string& value) { return FindOpenNumbers(Yaml("t: " + value)); };
  const auto code = ErrorCode::kDataCorrupt;
  EXPECT_ERROR(find("0.5"), code, "no number is left open");
  EXPECT_ERROR(find("{search: [1]}"), code, "t.search: found [1]");
  EXPECT_ERROR(find("{search: [1, 0]}"), code, "t.search: found [1,0]");
  EXPECT_ERROR(find("{search: [0, 1], start: 2}"), code, "t.start: found 2");
  EXPECT_ERROR(find("{search: [0, 1], pionts: 2}"), code, "did you mean 'points'?");
  EXPECT_ERROR(find("{search: [0, 1], points: 0}"), code, "points");
}

}  // namespace
}  // namespace metier::merge
