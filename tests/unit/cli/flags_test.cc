#include "cli/flags.h"

#include <cstdlib>
#include <map>
#include <optional>

#include "support/fixtures.h"

namespace metier::cli {
namespace {

struct Options {
  std::string model;
  std::vector<std::string> files;
  std::int64_t max_tokens = 256;
  double temperature = 0.5;
  bool quick = false;
  std::string device = "cpu";
  std::optional<std::int64_t> seed;
  std::vector<std::string> adapter;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("MODEL", model, "the model").Required();
    field("FILES", files, "what to read");
    field("max_tokens", max_tokens, "longest answer").AtLeast(1);
    field("temperature", temperature, "0: greedy").AtLeast(0);
    field("quick", quick, "skip the slow part");
    field("device", device, "where").OneOf({"cpu", "cuda"});
    field("seed", seed, "for chance");
    field("adapter", adapter, "adapter folder");
  }
};

Result<Options> Parse(const std::vector<std::string>& words,
                      const std::map<std::string, std::string>& environment = {}) {
  Options options;
  FlagList list;
  options.Visit(list);
  METIER_TRY(list.Parse(words, [&environment](const std::string& name) {
    const auto entry = environment.find(name);
    return entry == environment.end() ? nullptr : entry->second.c_str();
  }));
  return options;
}

TEST(Flags, DefaultsStayWhereNothingIsSaid) {
  ASSERT_OK_AND_ASSIGN(const Options options, Parse({"m"}));
  EXPECT_EQ(options.model, "m");
  EXPECT_TRUE(options.files.empty());
  EXPECT_EQ(options.max_tokens, 256);
  EXPECT_FALSE(options.seed.has_value());
}

TEST(Flags, EverySpellingIsRead) {
  ASSERT_OK_AND_ASSIGN(
      const Options options,
      Parse({"--max-tokens=7", "m", "--temperature", "1e-1", "a", "--quick", "--device", "cuda",
             "--seed=-3", "--adapter", "x", "b", "--adapter=y=z", "--", "--c"}));
  EXPECT_EQ(options.max_tokens, 7);
  EXPECT_EQ(options.temperature, 0.1);
  EXPECT_TRUE(options.quick);
  EXPECT_EQ(options.device, "cuda");
  EXPECT_EQ(options.seed, -3);
  EXPECT_EQ(options.files, (std::vector<std::string>{"a", "b", "--c"}));
  EXPECT_EQ(options.adapter, (std::vector<std::string>{"x", "y=z"}));
}

TEST(Flags, UnderscoresReadAsDashesAndSwitchesTakeValues) {
  ASSERT_OK_AND_ASSIGN(const Options options, Parse({"m", "--max_tokens", "9", "--quick=false"}));
  EXPECT_EQ(options.max_tokens, 9);
  EXPECT_FALSE(options.quick);
}

TEST(Flags, WrongUseIsAnErrorThatSaysWhat) {
  constexpr ErrorCode kWrong = ErrorCode::kInvalidArgument;
  EXPECT_ERROR(Parse({}), kWrong, "MODEL is missing: the model");
  EXPECT_ERROR(Parse({"m", "--max-token", "1"}), kWrong, "did you mean --max-tokens?");
  EXPECT_ERROR(Parse({"m", "-x"}), kWrong, "unknown flag -x");
  EXPECT_ERROR(Parse({"m", "--MODEL=x"}), kWrong, "unknown flag --MODEL");
  EXPECT_ERROR(Parse({"m", "--seed", "1", "--seed", "1"}), kWrong, "--seed is given twice");
  EXPECT_ERROR(Parse({"m", "--seed"}), kWrong, "--seed needs a value");
  EXPECT_ERROR(Parse({"m", "--seed", "--quick"}), kWrong, "--seed needs a value");
  EXPECT_ERROR(Parse({"m", "--max-tokens", "many"}), kWrong,
               "--max-tokens: found \"many\", expected a whole number");
  EXPECT_ERROR(Parse({"m", "--max-tokens", "1x"}), kWrong, "expected a whole number");
  EXPECT_ERROR(Parse({"m", "--max-tokens", "1.5"}), kWrong, "expected a whole number");
  EXPECT_ERROR(Parse({"m", "--max-tokens", ""}), kWrong, "expected a whole number");
  EXPECT_ERROR(Parse({"m", "--max-tokens", "0"}), kWrong, "at least 1");
  EXPECT_ERROR(Parse({"m", "--temperature", "nan"}), kWrong, "expected a number");
  EXPECT_ERROR(Parse({"m", "--temperature", "inf"}), kWrong, "expected a number");
  EXPECT_ERROR(Parse({"m", "--quick=maybe"}), kWrong, "expected true or false");
  EXPECT_ERROR(Parse({"m", "--device", "tpu"}), kWrong, "expected one of cpu, cuda");
}

TEST(Flags, TheEnvironmentPresetsWhatIsNoTextAndFlagsWin) {
  const std::map<std::string, std::string> environment = {
      {"METIER_MAX_TOKENS", "11"}, {"METIER_QUICK", "1"},          {"METIER_DEVICE", "cuda"},
      {"METIER_SEED", ""},         {"METIER_ADAPTER", "unwanted"}, {"METIER_MODEL", "unwanted"}};
  ASSERT_OK_AND_ASSIGN(const Options preset, Parse({"m"}, environment));
  EXPECT_EQ(preset.max_tokens, 11);
  EXPECT_TRUE(preset.quick);
  EXPECT_EQ(preset.device, "cuda");
  EXPECT_FALSE(preset.seed.has_value());
  EXPECT_TRUE(preset.adapter.empty());
  EXPECT_EQ(preset.model, "m");
  ASSERT_OK_AND_ASSIGN(const Options flags, Parse({"m", "--max-tokens", "5"}, environment));
  EXPECT_EQ(flags.max_tokens, 5);
  EXPECT_ERROR(Parse({"m"}, {{"METIER_SEED", "x"}}), ErrorCode::kInvalidArgument,
               "METIER_SEED: found \"x\", expected a whole number");
}

TEST(Flags, SuperfluousArgumentsAreNamed) {
  std::string file;
  FlagList list;
  list("FILE", file, "a file");
  const std::vector<std::string> words = {"a", "b"};
  EXPECT_ERROR(list.Parse(words, [](const std::string&) { return nullptr; }),
               ErrorCode::kInvalidArgument, "unexpected argument 'b': the arguments are FILE");
}

}  // namespace
}  // namespace metier::cli
