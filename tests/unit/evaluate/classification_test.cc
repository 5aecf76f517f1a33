#include "evaluate/classification.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "base/rng.h"

namespace metier::evaluate {
namespace {

// F1 by its definition: the harmonic mean of precision and recall, 0 where both are.
struct ByDefinition {
  double macro = 0;
  double weighted = 0;
};
ByDefinition Define(const std::vector<std::string>& truth, const std::vector<std::string>& found) {
  std::set<std::string> classes(truth.begin(), truth.end());
  classes.insert(found.begin(), found.end());
  ByDefinition f1;
  for (const std::string& one : classes) {
    double both = 0;
    double truly = 0;
    double predicted = 0;
    for (std::size_t i = 0; i < truth.size(); ++i) {
      both += truth[i] == one && found[i] == one ? 1 : 0;
      truly += truth[i] == one ? 1 : 0;
      predicted += found[i] == one ? 1 : 0;
    }
    const double precision = predicted > 0 ? both / predicted : 0;
    const double recall = truly > 0 ? both / truly : 0;
    const double f = both > 0 ? 2 * precision * recall / (precision + recall) : 0;
    f1.macro += f / static_cast<double>(classes.size());
    f1.weighted += f * truly / static_cast<double>(truth.size());
  }
  return f1;
}

TEST(Confusion, F1IsThatOfItsDefinitionOnRandomLabels) {
  const std::vector<std::string> names = {"negative", "neutral", "positive", "rare"};
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    Rng rng(seed, 1);
    std::vector<std::string> truth;
    std::vector<std::string> found;
    Confusion confusion;
    const std::size_t rows = 1 + rng.Next() % 40;
    std::int64_t right = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      truth.push_back(names[rng.Next() % 3]);  // "rare" is only ever predicted
      found.push_back(rng.Next() % 2 == 0 ? truth.back() : names[rng.Next() % 4]);
      confusion.Add(truth.back(), found.back());
      right += truth.back() == found.back() ? 1 : 0;
    }
    const ByDefinition expected = Define(truth, found);
    ASSERT_NEAR(confusion.MacroF1(), expected.macro, 1e-12) << "seed " << seed;
    ASSERT_NEAR(confusion.WeightedF1(), expected.weighted, 1e-12) << "seed " << seed;
    ASSERT_DOUBLE_EQ(confusion.Accuracy(), static_cast<double>(right) / static_cast<double>(rows));
  }
}

TEST(Confusion, CountsEveryPair) {
  Confusion confusion;
  confusion.Add("a", "a");
  confusion.Add("a", "b");
  confusion.Add("a", "b");
  confusion.Add("b", "c");
  EXPECT_EQ(confusion.ToJson(), Json({{"a", {{"a", 1}, {"b", 2}}}, {"b", {{"c", 1}}}}));
  EXPECT_EQ(confusion.rows(), 4);
  // a: 2 * 1 / (3 + 1), b and c: 0.
  EXPECT_DOUBLE_EQ(confusion.MacroF1(), 0.5 / 3);
  EXPECT_DOUBLE_EQ(confusion.WeightedF1(), 0.5 * 3 / 4);
}

}  // namespace
}  // namespace metier::evaluate
