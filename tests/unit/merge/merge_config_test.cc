#include "merge/merge_config.h"

#include "merging.h"

namespace metier::merge {
namespace {

using test::ParseConfig;

constexpr const char* kTies =
    "merge_method: ties\n"
    "base_model: base\n"
    "models:\n"
    "  - model: base\n"
    "  - {model: law, parameters: {weight: 0.6, density: 0.5}}\n"
    "  - {model: med, parameters: {weight: [0.2, 0.8]}}\n"
    "parameters: {normalize: false, lambda: 0.9, density: 0.3, int8_mask: true}\n"
    "dtype: float32\n"
    "out_dtype: bfloat16\n";

TEST(MergeConfig, ReadsWhatUsersWrite) {
  ASSERT_OK_AND_ASSIGN(const MergeConfig config, ParseConfig(kTies));
  EXPECT_EQ(config.method, Method::kTies);
  EXPECT_TRUE(config.uses_base());
  EXPECT_THAT(config.Models(), ::testing::ElementsAre("base", "law", "med"));
  EXPECT_EQ(config.tokenizer_source, "base");
  EXPECT_EQ(config.dtype, "bfloat16");
  ASSERT_EQ(config.slices.size(), 1U);
  ASSERT_EQ(config.slices[0].sources.size(), 3U);
  EXPECT_EQ(config.slices[0].sources[1].settings.weight.At("x", 0), 0.6);
  EXPECT_EQ(config.slices[0].sources[2].settings.weight.At("x", 1), 0.8);
  EXPECT_EQ(config.settings.normalize.At("x", 0), 0);
  EXPECT_EQ(config.settings.density.At("x", 0), 0.3);
}

TEST(MergeConfig, ReadsSlices) {
  ASSERT_OK_AND_ASSIGN(const MergeConfig config,
                       ParseConfig("merge_method: passthrough\n"
                                   "slices:\n"
                                   "  - sources: [{model: a, layer_range: [0, 3]}]\n"
                                   "  - sources: [{model: b, layer_range: [1, 4]}]\n"
                                   "    parameters: {scale: 0.5}\n"
                                   "tokenizer_source: b\n"));
  ASSERT_EQ(config.slices.size(), 2U);
  EXPECT_EQ(config.slices[1].sources[0].first, 1);
  EXPECT_EQ(config.slices[1].sources[0].end, 4);
  EXPECT_EQ(config.slices[1].settings.scale.At("x", 0), 0.5);
  EXPECT_EQ(config.tokenizer_source, "b");
  EXPECT_FALSE(config.uses_base());
}

TEST(MergeConfig, KnowsEveryMethodOfItsSchema) {
  const Json schema = recipe::SchemaOf<MergeDocument>();
  for (const Json& name : schema["properties"]["merge_method"]["enum"]) {
    const std::string method = name.get<std::string>();
    const std::string two = method == "passthrough" ? "" : ", {model: b}";
    ASSERT_OK_AND_ASSIGN(const MergeConfig config,
                         ParseConfig("merge_method: " + method +
                                     "\nbase_model: a\nmodels: [{model: a}" + two + "]"));
    EXPECT_EQ(MethodName(config.method), method);
  }
}

std::string With(const std::string& method, const std::string& rest) {
  return "merge_method: " + method + "\n" + rest;
}

TEST(MergeConfig, NamesTheNearestKey) {
  const auto code = ErrorCode::kDataCorrupt;
  const std::string models = "models: [{model: a}, {model: b}]\n";
  EXPECT_ERROR(ParseConfig("merge_methods: ties"), code,
               "merge: unknown key 'merge_methods': did you mean 'merge_method'?");
  EXPECT_ERROR(ParseConfig(With("linear", "models: [{modle: a}]")), code,
               "merge.models[0]: unknown key 'modle': did you mean 'model'?");
  EXPECT_ERROR(ParseConfig(With("linear", models + "parameters: {wieght: 1}")), code,
               "merge.parameters: unknown key 'wieght': did you mean 'weight'?");
  EXPECT_ERROR(ParseConfig(With("della", models)), code,
               "merge.merge_method: found \"della\", expected one of linear, slerp");
  EXPECT_ERROR(ParseConfig("models: [{model: a}]"), code, "'merge_method' is required");
}

TEST(MergeConfig, RefusesWhatItDoesNotHonour) {
  const auto code = ErrorCode::kUnsupported;
  const std::string models = "models: [{model: a}, {model: b}]\n";
  EXPECT_ERROR(ParseConfig(With("linear", models + "tokenizer_source: union")), code,
               "union is not supported");
  EXPECT_ERROR(ParseConfig(With("linear", models + "chat_template: auto")), code,
               "merge.chat_template: not supported");
  EXPECT_ERROR(ParseConfig(With("linear", models + "modules: {text: {}}")), code, "merge.modules");
  EXPECT_ERROR(ParseConfig(With("dare_ties",
                                "base_model: a\nmodels: [{model: b, parameters: "
                                "{rescale: false}}]")),
               code, "merge.models[0].parameters.rescale: not supported");
}

TEST(MergeConfig, RefusesParametersThatWouldDoNothing) {
  const auto code = ErrorCode::kDataCorrupt;
  const std::string models = "models: [{model: a}, {model: b}]\n";
  EXPECT_ERROR(ParseConfig(With("linear", models + "parameters: {density: 0.5}")), code,
               "merge.parameters.density: does nothing in a merge by linear, which takes weight, "
               "normalize");
  EXPECT_ERROR(ParseConfig(With("slerp", models + "parameters: {t: 0.5, weight: 1}")), code,
               "merge.parameters.weight: does nothing in a merge by slerp");
  EXPECT_ERROR(ParseConfig(With("slerp", "models: [{model: a, parameters: {t: 0.5}}, {model: b}]")),
               code, "merge.models[0].parameters: t, lambda and normalize are of all models");
  EXPECT_ERROR(ParseConfig(With("ties",
                                "base_model: a\nmodels: [{model: b, parameters: {density: "
                                "0}}]")),
               code, "density: found 0, expected above 0 and at most 1");
  EXPECT_ERROR(ParseConfig(With("linear", models + "parameters: {normalize: 0.5}")), code,
               "merge.parameters.normalize: found 0.5, expected true or false");
}

TEST(MergeConfig, RefusesModelsThatDoNotFitTheMethod) {
  const auto code = ErrorCode::kDataCorrupt;
  const std::string models = "models: [{model: a}, {model: b}]\n";
  EXPECT_ERROR(ParseConfig(With("linear", "")), code, "write `models` or `slices`");
  EXPECT_ERROR(ParseConfig(With("linear", models + "slices: [{sources: []}]")), code, "exclude");
  EXPECT_ERROR(ParseConfig(With("ties", models)), code, "merge.base_model: required by ties");
  EXPECT_ERROR(ParseConfig(With("slerp", "models: [{model: a}]")), code, "slerp takes two");
  EXPECT_ERROR(ParseConfig(With("slerp", models + "base_model: c")), code,
               "'c' is none of the two");
  EXPECT_ERROR(ParseConfig(With("passthrough", models)), code, "passthrough takes one");
  EXPECT_ERROR(ParseConfig(With("passthrough", "slices: [{sources: []}]")), code,
               "merge.slices[0].sources: empty");
  EXPECT_ERROR(
      ParseConfig(With("passthrough", "slices: [{sources: [{model: a, layer_range: [3, 1]}]}]")),
      code, "merge.slices[0].sources[0].layer_range: found [3, 1]");
  EXPECT_ERROR(
      ParseConfig(With("linear",
                       "slices: [{sources: [{model: a, layer_range: [0, 2]}, {model: b, "
                       "layer_range: [0, 3]}]}]")),
      code, "merge.slices[0].sources[1].layer_range: 3 layers, but the slice's first source has 2");
  EXPECT_ERROR(ParseConfig(With("linear",
                                "models: [{model: a, parameters: {weight: {search: [0, "
                                "1]}}}]")),
               ErrorCode::kInvalidArgument, "merge.models[0].parameters.weight: a number that is");
}

}  // namespace
}  // namespace metier::merge
