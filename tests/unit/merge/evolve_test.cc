#include "merge/evolve.h"

#include <cmath>
#include <limits>

#include "merging.h"

namespace metier::merge {
namespace {

using metier::test::ReadAll;
using metier::test::TempFolder;
using metier::test::WriteAll;

constexpr const char* kConfig =
    "merge_method: ties\n"
    "base_model: base\n"
    "models:\n"
    "  - {model: a, parameters: {weight: {search: [0, 2], points: 2}, density: 0.5}}\n"
    "  - {model: b, parameters: {weight: {search: [-1, 1], start: 0.9}}}\n"
    "evolve: {files: [{file: x.txt}]}\n";

Json Document(const std::string& yaml = kConfig) {
  const auto parsed = ParseYaml(yaml);
  EXPECT_TRUE(parsed.ok());
  return parsed.ok() ? *parsed : Json();
}

// Least, 0, at weights (0.5, 1.5) and -0.25.
double ValueOf(const Json& config) {
  const auto weights = config["models"][0]["parameters"]["weight"].get<std::vector<double>>();
  const auto other = config["models"][1]["parameters"]["weight"].get<double>();
  return std::pow(weights[0] - 0.5, 2) + std::pow(weights[1] - 1.5, 2) + std::pow(other + 0.25, 2);
}

struct Counted {
  std::int64_t calls = 0;
  std::int64_t most = std::numeric_limits<std::int64_t>::max();  // then the process is killed

  Objective AsObjective() {
    return [this](const Json& config) -> Result<double> {
      if (calls == most) return Error(ErrorCode::kIo, "killed");
      ++calls;
      return ValueOf(config);
    };
  }
};

TEST(Evolve, FindsTheOpenNumbers) {
  const TempFolder folder;
  Counted counted;
  ASSERT_OK_AND_ASSIGN(const Evolution found, Evolve(Document(), {.generations = 60}, folder.path(),
                                                     counted.AsObjective()));
  EXPECT_DOUBLE_EQ(found.start, 0.25 + 0.25 + 1.15 * 1.15);
  EXPECT_LT(found.best, 1e-3);
  ASSERT_EQ(found.numbers.size(), 3U);
  EXPECT_NEAR(found.numbers[1], 1.5, 0.05);
  EXPECT_EQ(found.generations.size(), 60U);
  EXPECT_EQ(found.evaluations, counted.calls);
  EXPECT_EQ(found.evaluations, 1 + 60 * 7);  // 4 + floor(3 ln 3)
  EXPECT_EQ(ValueOf(found.config), found.best);
  EXPECT_FALSE(found.config.contains("evolve"));

  ASSERT_OK_AND_ASSIGN(const Json best, ReadYamlFile(folder / "best.yml"));
  EXPECT_EQ(ValueOf(best), found.best);
  EXPECT_OK(ParseMergeConfig(best));
  EXPECT_THAT(ReadAll(folder / "generations.svg"), ::testing::HasSubstr("best so far"));
}

TEST(Evolve, NeverEndsWorseThanItBegan) {
  const TempFolder folder;
  // Begins at the minimum, on a function that is flat elsewhere.
  const Objective objective = [](const Json& config) -> Result<double> {
    return config["models"][1]["parameters"]["weight"] == 0.9 ? 1.0 : 2.0;
  };
  ASSERT_OK_AND_ASSIGN(const Evolution found,
                       Evolve(Document(), {.generations = 2}, folder.path(), objective));
  EXPECT_EQ(found.best, 1);
  EXPECT_EQ(found.numbers, (std::vector<double>{1, 1, 0.9}));
}

TEST(Evolve, GoesOnWhereItWasKilled) {
  const TempFolder whole_folder;
  Counted whole;
  ASSERT_OK_AND_ASSIGN(const Evolution expected, Evolve(Document(), {.generations = 6},
                                                        whole_folder.path(), whole.AsObjective()));
  // Killed at every evaluation in turn.
  for (std::int64_t most = 0; most < expected.evaluations; most += 5) {
    const TempFolder folder;
    Counted first{.most = most};
    EXPECT_ERROR(Evolve(Document(), {.generations = 6}, folder.path(), first.AsObjective()),
                 ErrorCode::kIo, "killed");
    Counted second;
    ASSERT_OK_AND_ASSIGN(const Evolution resumed, Evolve(Document(), {.generations = 6},
                                                         folder.path(), second.AsObjective()));
    // Whole generations are not computed again.
    const std::int64_t kept = most == 0 ? 0 : 1 + (most - 1) / 7 * 7;
    EXPECT_EQ(second.calls, expected.evaluations - kept) << "killed at " << most;
    EXPECT_EQ(resumed.numbers, expected.numbers);
    EXPECT_EQ(resumed.best, expected.best);
    EXPECT_EQ(resumed.evaluations, expected.evaluations);
    EXPECT_EQ(ReadAll(folder / "state.json"), ReadAll(whole_folder / "state.json"));
    EXPECT_EQ(ReadAll(folder / "generations.svg"), ReadAll(whole_folder / "generations.svg"));
  }
}

TEST(Evolve, TakesMoreGenerationsLater) {
  const TempFolder folder;
  Counted counted;
  ASSERT_OK(Evolve(Document(), {.generations = 2}, folder.path(), counted.AsObjective()));
  ASSERT_OK_AND_ASSIGN(const Evolution more, Evolve(Document(), {.generations = 5}, folder.path(),
                                                    counted.AsObjective()));
  EXPECT_EQ(more.generations.size(), 5U);
  EXPECT_EQ(counted.calls, 1 + 5 * 7);
  ASSERT_OK(Evolve(Document(), {.generations = 5}, folder.path(), counted.AsObjective()));
  EXPECT_EQ(counted.calls, 1 + 5 * 7);
}

TEST(Evolve, RefusesAnotherRunsFolder) {
  const TempFolder folder;
  Counted counted;
  const EvolveOptions options{.generations = 1, .inputs = {{"a", "hash"}}};
  ASSERT_OK(Evolve(Document(), options, folder.path(), counted.AsObjective()));
  const auto code = ErrorCode::kInvalidArgument;
  EvolveOptions other = options;
  other.inputs = {{"a", "other"}};
  EXPECT_ERROR(Evolve(Document(), other, folder.path(), counted.AsObjective()), code,
               "a run of another configuration");
  other = options;
  other.seed = 2;
  EXPECT_ERROR(Evolve(Document(), other, folder.path(), counted.AsObjective()), code,
               "a run of another configuration");
  Json changed = Document();
  changed["parameters"] = {{"lambda", 0.5}};
  EXPECT_ERROR(Evolve(changed, options, folder.path(), counted.AsObjective()), code,
               "a run of another configuration");
}

TEST(Evolve, RefusesAStateThatNoRunWrote) {
  const TempFolder folder;
  Counted counted;
  ASSERT_OK(Evolve(Document(), {.generations = 1}, folder.path(), counted.AsObjective()));
  ASSERT_OK_AND_ASSIGN(const Json good, ReadJsonFile(folder / "state.json"));
  for (const char* key : {"fingerprint", "search", "numbers", "generations", "best", "start"}) {
    Json bad = good;
    bad.erase(key);
    WriteAll(folder / "state.json", DumpPretty(bad));
    EXPECT_ERROR(Evolve(Document(), {.generations = 1}, folder.path(), counted.AsObjective()),
                 ErrorCode::kDataCorrupt, "state.json");
  }
  WriteAll(folder / "state.json", "{\"search\": ");
  EXPECT_ERROR(Evolve(Document(), {.generations = 1}, folder.path(), counted.AsObjective()),
               ErrorCode::kDataCorrupt, "state.json");
}

TEST(Evolve, LivesWithValuesThatAreNotFinite) {
  const TempFolder folder;
  const Objective objective = [](const Json& config) -> Result<double> {
    const double value = ValueOf(config);
    return value > 1 ? std::numeric_limits<double>::infinity() : value;
  };
  ASSERT_OK_AND_ASSIGN(const Evolution found,
                       Evolve(Document(), {.generations = 30}, folder.path(), objective));
  EXPECT_LT(found.best, 1e-2);
  ASSERT_OK_AND_ASSIGN(const Evolution again,
                       Evolve(Document(), {.generations = 30}, folder.path(), objective));
  EXPECT_EQ(again.best, found.best);
}

}  // namespace
}  // namespace metier::merge
