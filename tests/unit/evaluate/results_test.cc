#include "evaluate/results.h"

#include <cmath>

#include "support/fixtures.h"

namespace metier::evaluate {
namespace {

Json Results() {
  return {{"models",
           {{"base", {{"tool_calls", {{"exact_match", 0.02}, {"dialogues", 40}}}}},
            {"specialist",
             {{"tool_calls", {{"exact_match", 0.9}, {"dialogues", 40}}},
              {"perplexity", {{"perplexity", 12.345}}}}}}}};
}

TEST(Gate, EveryRuleMustHold) {
  const GateRule better{
      .model = "specialist", .metric = "tool_calls.exact_match", .at_least = 0.85};
  const GateRule ignorant{.model = "base", .metric = "tool_calls.exact_match", .at_most = 0.01};
  ASSERT_OK_AND_ASSIGN(const Json one, ApplyGate(Results(), {better}));
  EXPECT_EQ(one["passed"], true);
  ASSERT_OK_AND_ASSIGN(const Json two, ApplyGate(Results(), {better, ignorant}));
  EXPECT_EQ(two["passed"], false);
  EXPECT_EQ(two["rules"][0]["passed"], true);
  EXPECT_EQ(two["rules"][1]["passed"], false);
  EXPECT_EQ(two["rules"][1]["found"], 0.02);
}

TEST(Gate, NotANumberFails) {
  Json results = Results();
  results["models"]["base"]["tool_calls"]["exact_match"] = std::nan("");
  const GateRule rule{.model = "base", .metric = "tool_calls.exact_match", .at_most = 1};
  ASSERT_OK_AND_ASSIGN(const Json gate, ApplyGate(results, {rule}));
  EXPECT_EQ(gate["passed"], false);
}

TEST(Gate, UnknownNamesAreErrorsWithTheNearest) {
  EXPECT_ERROR(FindMetric(Results(), "specialst", "tool_calls.exact_match"), ErrorCode::kNotFound,
               "'specialist'");
  EXPECT_ERROR(FindMetric(Results(), "base", "tool_call.exact_match"), ErrorCode::kNotFound,
               "'tool_calls'");
  EXPECT_ERROR(FindMetric(Results(), "base", "tool_calls.exactmatch"), ErrorCode::kNotFound,
               "'exact_match'");
  EXPECT_ERROR(FindMetric(Results(), "base", "tool_calls"), ErrorCode::kNotFound, "metric");
}

TEST(Comparison, HasARowForEveryMetricAndADashWhereOneIsMissing) {
  const Comparison comparison = Compare(Results(), {});
  ASSERT_EQ(comparison.rows.size(), 3U);
  EXPECT_EQ(comparison.rows[2].metric, "perplexity.perplexity");
  EXPECT_FALSE(comparison.rows[2].values[0].has_value());
  EXPECT_EQ(FormatTable(comparison),
            "metric                        base  specialist\n"
            "tool_calls.exact_match      0.0200      0.9000\n"
            "tool_calls.dialogues            40          40\n"
            "perplexity.perplexity            -       12.35\n");
}

}  // namespace
}  // namespace metier::evaluate
