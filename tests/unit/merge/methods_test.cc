#include "merge/methods.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <numeric>

#include "merging.h"

namespace metier::merge {
namespace {

using test::RandomValues;
using Values = std::vector<float>;

constexpr std::size_t kCount = 3 * kRandomBlock + 57;  // blocks, and a rest

ThreadPool& OneThread() {
  static ThreadPool pool(1);
  return pool;
}

Values Deltas(const Values& base, const std::vector<Input>& inputs, const DeltaOptions& options,
              ThreadPool& pool = OneThread()) {
  Values out(base.size());
  MergeDeltas(base, inputs, options, pool, out);
  return out;
}

Values Linear(const std::vector<Input>& inputs, Normalize normalize) {
  Values out(inputs[0].values.size());
  MergeLinear(inputs, normalize, OneThread(), out);
  return out;
}

Values Slerp(const Values& a, const Values& b, double t) {
  Values out(a.size());
  MergeSlerp(a, b, t, OneThread(), out);
  return out;
}

bool SameBits(const Values& a, const Values& b) {
  return std::ranges::equal(std::as_bytes(std::span(a)), std::as_bytes(std::span(b)));
}

// A sum in double, rounded once: half a unit of the last place, and the double's own error, which
// is far below it.
void ExpectRounded(float found, double exact, double magnitude) {
  EXPECT_NEAR(static_cast<double>(found), exact,
              std::fabs(exact) * FLT_EPSILON / 2 + magnitude * 16 * DBL_EPSILON);
}

TEST(MergeLinear, IsTheWeightedMean) {
  const Values a = RandomValues(kCount, 1);
  const Values b = RandomValues(kCount, 2);
  const Values c = RandomValues(kCount, 3);
  const std::vector<Input> inputs = {{a, 0.5}, {b, -0.2}, {c, 1.1}};
  const Values mean = Linear(inputs, Normalize::kYes);
  const Values sum = Linear(inputs, Normalize::kNo);
  for (std::size_t i = 0; i < kCount; ++i) {
    const double exact = 0.5 * static_cast<double>(a[i]) - 0.2 * static_cast<double>(b[i]) +
                         1.1 * static_cast<double>(c[i]);
    ExpectRounded(sum[i], exact, 10);
    ExpectRounded(mean[i], exact / (0.5 - 0.2 + 1.1), 10);
  }
}

TEST(MergeLinear, OfAModelWithItselfIsTheModel) {
  Values a = RandomValues(kCount, 1, 1e-3);
  a[0] = -0.0F;
  a[1] = FLT_MIN / 4;
  a[2] = FLT_MAX / 4;
  EXPECT_TRUE(SameBits(Linear({{a, 0.3}, {a, 0.3}, {a, 0.1}}, Normalize::kYes), a));
  EXPECT_TRUE(SameBits(Linear({{a, 1.0 / 3}, {a, 2.0 / 3}}, Normalize::kYes), a));
}

TEST(MergeSlerp, GoesAlongTheArc) {
  const Values a = RandomValues(kCount, 1);
  const Values b = RandomValues(kCount, 2);
  double aa = 0;
  double bb = 0;
  double ab = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    aa += static_cast<double>(a[i]) * static_cast<double>(a[i]);
    bb += static_cast<double>(b[i]) * static_cast<double>(b[i]);
    ab += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  }
  const double angle = std::acos(ab / std::sqrt(aa * bb));
  for (const double t : {0.25, 0.5, 0.9}) {
    const Values merged = Slerp(a, b, t);
    for (std::size_t i = 0; i < kCount; ++i) {
      const double exact = (std::sin((1 - t) * angle) * static_cast<double>(a[i]) +
                            std::sin(t * angle) * static_cast<double>(b[i])) /
                           std::sin(angle);
      // The reference adds its products in another order: kCount * DBL_EPSILON in the angle.
      EXPECT_NEAR(
          static_cast<double>(merged[i]), exact,
          std::fabs(exact) * FLT_EPSILON / 2 + 10 * static_cast<double>(kCount) * DBL_EPSILON);
    }
  }
}

TEST(MergeSlerp, KeepsTheLengthOfPerpendicularVectors) {
  const Values merged = Slerp({3, 0}, {0, 3}, 1.0 / 3);
  EXPECT_FLOAT_EQ(merged[0], static_cast<float>(3 * std::cos(M_PI / 6)));
  EXPECT_FLOAT_EQ(merged[1], static_cast<float>(3 * std::sin(M_PI / 6)));
}

TEST(MergeSlerp, EndsAtTheModels) {
  const Values a = RandomValues(kCount, 1);
  const Values b = RandomValues(kCount, 2);
  EXPECT_TRUE(SameBits(Slerp(a, b, 0), a));
  EXPECT_TRUE(SameBits(Slerp(a, b, 1), b));
  for (const double t : {0.0, 0.3, 0.5, 1.0}) EXPECT_TRUE(SameBits(Slerp(a, a, t), a)) << t;
}

TEST(MergeSlerp, IsStraightWhereThereIsNoArc) {
  EXPECT_EQ(Slerp({0, 0}, {2, 4}, 0.25), (Values{0.5, 1}));
  EXPECT_EQ(Slerp({1, 1}, {3, 3}, 0.5), (Values{2, 2}));
  EXPECT_EQ(Slerp({1, -1}, {-3, 3}, 0.25), (Values{0, 0}));
}

TEST(MergeDeltas, AddsWeightedChanges) {
  const Values base = RandomValues(kCount, 1);
  const Values a = RandomValues(kCount, 2);
  const Values b = RandomValues(kCount, 3);
  const std::vector<Input> inputs = {{a, 0.7}, {b, 0.5}};
  const Values sum = Deltas(base, inputs, {.lambda = 0.8});
  const Values mean = Deltas(base, inputs, {.normalize = Normalize::kYes, .lambda = 0.8});
  for (std::size_t i = 0; i < kCount; ++i) {
    const auto x = static_cast<double>(base[i]);
    const double change =
        0.7 * (static_cast<double>(a[i]) - x) + 0.5 * (static_cast<double>(b[i]) - x);
    ExpectRounded(sum[i], x + 0.8 * change, 10);
    ExpectRounded(mean[i], x + 0.8 * change / 1.2, 10);
  }
}

// Worked by hand. Changes a = (4, -3, 1, 0.5), b = (-2, -1, 3, 0), c = (-1, 2, 2.5, -4); density
// 0.5 keeps two of four: a = (4, -3, 0, 0), b = (-2, 0, 3, 0), c = (0, 0, 2.5, -4). With weights 1,
// 2 and 1 the sums are (0, -3, 8.5, -4); the sign of 0 is plus. Of the elected signs there are a;
// a; b and c; c.
TEST(MergeDeltas, TiesAsWorkedByHand) {
  const Values base = {10, 10, 10, 10};
  const Values a = {14, 7, 11, 10.5};
  const Values b = {8, 9, 13, 10};
  const Values c = {9, 12, 12.5, 6};
  const std::vector<Input> inputs = {{a, 1, 0.5}, {b, 2, 0.5}, {c, 1, 0.5}};
  DeltaOptions options{.sparsify = Sparsify::kMagnitude, .elect = Elect::kYes};
  EXPECT_EQ(Deltas(base, inputs, options), (Values{14, 7, 18.5, 6}));
  options.normalize = Normalize::kYes;
  options.lambda = 0.5;
  const Values mean = Deltas(base, inputs, options);
  EXPECT_EQ(mean[0], 12);
  EXPECT_EQ(mean[1], 8.5);
  EXPECT_FLOAT_EQ(mean[2], static_cast<float>(10 + 0.5 * 8.5 / 3));
  EXPECT_EQ(mean[3], 8);
}

// The same by sorting, electing and averaging one element after another.
TEST(MergeDeltas, TiesAsAPlainReference) {
  const Values base = RandomValues(kCount, 1);
  const std::vector<Values> models = {RandomValues(kCount, 2), RandomValues(kCount, 3),
                                      RandomValues(kCount, 4)};
  const double weights[] = {1, 0.5, 0.8};
  const double densities[] = {0.2, 0.7, 0.01};
  std::vector<Input> inputs;
  std::vector<std::vector<double>> trimmed;
  for (std::size_t k = 0; k < models.size(); ++k) {
    inputs.push_back({models[k], weights[k], densities[k]});
    std::vector<double> change(kCount);
    for (std::size_t i = 0; i < kCount; ++i)
      change[i] = static_cast<double>(models[k][i]) - static_cast<double>(base[i]);
    std::vector<std::size_t> order(kCount);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&change](std::size_t x, std::size_t y) {
      return std::fabs(change[x]) > std::fabs(change[y]);
    });
    const auto kept = static_cast<std::size_t>(densities[k] * kCount);
    for (std::size_t rank = kept; rank < kCount; ++rank) change[order[rank]] = 0;
    trimmed.push_back(std::move(change));
  }
  const Values merged = Deltas(base, inputs,
                               {.sparsify = Sparsify::kMagnitude,
                                .elect = Elect::kYes,
                                .normalize = Normalize::kYes,
                                .lambda = 1.5});
  for (std::size_t i = 0; i < kCount; ++i) {
    double sum = 0;
    for (std::size_t k = 0; k < models.size(); ++k) sum += weights[k] * trimmed[k][i];
    double agreeing = 0;
    double of_them = 0;
    for (std::size_t k = 0; k < models.size(); ++k) {
      if (trimmed[k][i] == 0 || (trimmed[k][i] > 0) != (sum >= 0)) continue;
      agreeing += weights[k] * trimmed[k][i];
      of_them += weights[k];
    }
    const double mean = of_them > 0 ? agreeing / of_them : 0;
    ExpectRounded(merged[i], static_cast<double>(base[i]) + 1.5 * mean, 20);
  }
}

TEST(MergeDeltas, KeepsTheEarlierOfEqualChanges) {
  const Values base(6, 0);
  const Values a = {1, 2, -1, 1, 1, -1};
  EXPECT_EQ(Deltas(base, {{a, 1, 0.5}}, {.sparsify = Sparsify::kMagnitude}),
            (Values{1, 2, -1, 0, 0, 0}));
  // At least one stays.
  EXPECT_EQ(Deltas(base, {{a, 1, 0.01}}, {.sparsify = Sparsify::kMagnitude}),
            (Values{0, 2, 0, 0, 0, 0}));
}

TEST(MergeDeltas, DareDropsWhatItsStreamSaysAndRescalesTheRest) {
  const Values base(kCount, 0);
  const Values a(kCount, 1);
  const Values b(kCount, 1);
  const double density = 0.3;
  const DeltaOptions options{.sparsify = Sparsify::kRandom, .seed = 11, .tensor = "q"};
  const Values only = Deltas(base, {{a, 1, density}}, options);
  const Values both = Deltas(base, {{a, 1, 1}, {b, 2, density}}, options);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    // Element by element, each block's stream from its beginning.
    const std::size_t block = i / kRandomBlock;
    const auto keeps = [&](std::size_t input) {
      Rng rng(11, RandomStream("q", input) + block);
      double drawn = 0;
      for (std::size_t k = block * kRandomBlock; k <= i; ++k) drawn = rng.Uniform();
      return drawn < density;
    };
    if (i % 97 == 0) {
      EXPECT_EQ(only[i] != 0, keeps(0)) << i;
      EXPECT_FLOAT_EQ(both[i], static_cast<float>(1 + (keeps(1) ? 2 / density : 0))) << i;
    }
    if (only[i] == 0) continue;
    ++kept;
    EXPECT_EQ(only[i], static_cast<float>(1 / density));
  }
  // Binomial: five standard deviations around the share, which a fixed seed either keeps or not.
  const double expected = density * static_cast<double>(kCount);
  EXPECT_NEAR(static_cast<double>(kept), expected, 5 * std::sqrt(expected * (1 - density)));
}

TEST(MergeDeltas, DareChangesNothingInTheMean) {
  const Values base(1, 0);
  const Values a(1, 1);
  double sum = 0;
  constexpr int kRuns = 4000;
  for (int seed = 0; seed < kRuns; ++seed) {
    sum += static_cast<double>(Deltas(base, {{a, 1, 0.25}},
                                      {.sparsify = Sparsify::kRandom,
                                       .seed = static_cast<std::uint64_t>(seed),
                                       .tensor = "q"})[0]);
  }
  // One run: 4 with probability 1/4, variance 3.
  EXPECT_NEAR(sum / kRuns, 1, 5 * std::sqrt(3.0 / kRuns));
}

TEST(MergeDeltas, DareHangsOnSeedAndTensor) {
  const Values base(kCount, 0);
  const Values a(kCount, 1);
  const auto merged = [&](std::uint64_t seed, const char* tensor) {
    return Deltas(base, {{a, 1, 0.5}},
                  {.sparsify = Sparsify::kRandom, .seed = seed, .tensor = tensor});
  };
  EXPECT_EQ(merged(1, "q"), merged(1, "q"));
  EXPECT_NE(merged(1, "q"), merged(2, "q"));
  EXPECT_NE(merged(1, "q"), merged(1, "k"));
}

TEST(MergeDeltas, OfTheBaseWithItselfIsTheBase) {
  Values base = RandomValues(kCount, 1, 1e-3);
  base[0] = -0.0F;
  base[1] = FLT_MIN / 4;
  for (const Sparsify sparsify : {Sparsify::kNone, Sparsify::kMagnitude, Sparsify::kRandom}) {
    for (const Elect elect : {Elect::kNo, Elect::kYes}) {
      const Values merged = Deltas(base, {{base, 0.4, 0.5}, {base, 0.3, 0.2}},
                                   {.sparsify = sparsify,
                                    .elect = elect,
                                    .normalize = Normalize::kYes,
                                    .lambda = 0.7,
                                    .tensor = "q"});
      EXPECT_TRUE(SameBits(merged, base));
    }
  }
  EXPECT_TRUE(SameBits(Deltas(base, {}, {}), base));
}

TEST(MergeMethods, GiveTheSameBitsOnAnyNumberOfThreads) {
  constexpr std::size_t kMany = 40 * kRandomBlock + 5;
  const Values base = RandomValues(kMany, 1);
  const Values a = RandomValues(kMany, 2);
  const Values b = RandomValues(kMany, 3);
  const std::vector<Input> inputs = {{a, 0.7, 0.3}, {b, 0.5, 0.6}};
  const auto all = [&](ThreadPool& pool) {
    std::vector<Values> results(6, Values(kMany));
    MergeLinear(inputs, Normalize::kYes, pool, results[0]);
    MergeSlerp(a, b, 0.3, pool, results[1]);
    MergeDeltas(base, inputs, {}, pool, results[2]);
    MergeDeltas(
        base, inputs,
        {.sparsify = Sparsify::kMagnitude, .elect = Elect::kYes, .normalize = Normalize::kYes},
        pool, results[3]);
    MergeDeltas(base, inputs, {.sparsify = Sparsify::kRandom, .elect = Elect::kYes, .tensor = "q"},
                pool, results[4]);
    MergeScaled(a, 0.3, pool, results[5]);
    return results;
  };
  const std::vector<Values> alone = all(OneThread());
  for (const int threads : {2, 3}) {
    ThreadPool pool(threads);
    const std::vector<Values> together = all(pool);
    for (std::size_t k = 0; k < alone.size(); ++k)
      EXPECT_TRUE(SameBits(alone[k], together[k])) << "method " << k << ", threads " << threads;
  }
}

}  // namespace
}  // namespace metier::merge
