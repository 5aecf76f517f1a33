#include "engine/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace metier::engine {
namespace {

using model::MoeSpec;
using model::RouterScore;
using ::testing::ElementsAre;

struct Routed {
  std::vector<std::int32_t> experts;
  std::vector<float> weights;
};

Routed Route(RouterScore score, bool normalise, std::vector<float> scores, std::size_t top_k) {
  MoeSpec moe;
  moe.experts = static_cast<std::int64_t>(scores.size());
  moe.top_k = static_cast<std::int64_t>(top_k);
  moe.score = score;
  moe.normalise_top_k = normalise;
  Routed routed{std::vector<std::int32_t>(top_k), std::vector<float>(top_k)};
  ChooseExperts(moe, scores, routed.experts, routed.weights);
  return routed;
}

// exp of the scores: 1, 2, 4, 8, of 15 in all.
const std::vector<float> kScores = {0, std::log(2.0F), std::log(4.0F), std::log(8.0F)};

TEST(Router, SoftmaxOverAllThenTheBest) {
  const Routed plain = Route(RouterScore::kSoftmaxThenTopK, false, kScores, 2);
  EXPECT_THAT(plain.experts, ElementsAre(3, 2));
  EXPECT_NEAR(plain.weights[0], 8.0 / 15, 1e-6);
  EXPECT_NEAR(plain.weights[1], 4.0 / 15, 1e-6);
  const Routed normalised = Route(RouterScore::kSoftmaxThenTopK, true, kScores, 2);
  EXPECT_NEAR(normalised.weights[0], 8.0 / 12, 1e-6);
  EXPECT_NEAR(normalised.weights[1], 4.0 / 12, 1e-6);
}

TEST(Router, TheBestThenSoftmaxOverThem) {
  for (const bool normalise : {false, true}) {
    const Routed routed = Route(RouterScore::kTopKThenSoftmax, normalise, kScores, 3);
    EXPECT_THAT(routed.experts, ElementsAre(3, 2, 1));
    EXPECT_NEAR(routed.weights[0], 8.0 / 14, 1e-6);
    EXPECT_NEAR(routed.weights[2], 2.0 / 14, 1e-6);
  }
}

TEST(Router, SigmoidOfTheBest) {
  const Routed plain = Route(RouterScore::kSigmoid, false, kScores, 2);
  EXPECT_NEAR(plain.weights[0], 8.0 / 9, 1e-6);
  EXPECT_NEAR(plain.weights[1], 4.0 / 5, 1e-6);
  const Routed normalised = Route(RouterScore::kSigmoid, true, kScores, 2);
  EXPECT_NEAR(normalised.weights[0], (8.0 / 9) / (8.0 / 9 + 4.0 / 5), 1e-6);
}

TEST(Router, EqualScoresGoToTheLowerIndexAndNansNeverCrash) {
  EXPECT_THAT(Route(RouterScore::kTopKThenSoftmax, true, {1, 1, 1, 1}, 2).experts,
              ElementsAre(0, 1));
  const float nan = std::nanf("");
  EXPECT_THAT(Route(RouterScore::kSigmoid, true, {nan, nan, 1, nan}, 2).experts, ElementsAre(2, 0));
  EXPECT_THAT(Route(RouterScore::kTopKThenSoftmax, true, {nan, nan}, 2).experts, ElementsAre(0, 1));
}

}  // namespace
}  // namespace metier::engine
