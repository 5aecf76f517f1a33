#include "merge/truncated_svd.h"

#include <cfloat>
#include <cmath>
#include <numeric>

#include "base/rng.h"
#include "support/fixtures.h"

namespace metier::merge {
namespace {

using Matrix = std::vector<double>;  // [rows, columns], row by row

// Orthonormal columns [n, count]: Gram and Schmidt, twice.
Matrix Orthonormal(std::int64_t n, std::int64_t count, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<Matrix> columns;
  for (std::int64_t j = 0; j < count; ++j) {
    Matrix column(static_cast<std::size_t>(n));
    for (double& value : column) value = rng.Normal();
    for (int twice = 0; twice < 2; ++twice) {
      for (const Matrix& other : columns) {
        const double along = std::inner_product(column.begin(), column.end(), other.begin(), 0.0);
        for (std::size_t i = 0; i < column.size(); ++i) column[i] -= along * other[i];
      }
      const double length =
          std::sqrt(std::inner_product(column.begin(), column.end(), column.begin(), 0.0));
      for (double& value : column) value /= length;
    }
    columns.push_back(std::move(column));
  }
  Matrix out(static_cast<std::size_t>(n * count));
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < count; ++j)
      out[static_cast<std::size_t>(i * count + j)] =
          columns[static_cast<std::size_t>(j)][static_cast<std::size_t>(i)];
  }
  return out;
}

// U diag(singular) V^T, [out, in].
Matrix WithSingularValues(std::int64_t out, std::int64_t in, const std::vector<double>& singular,
                          std::uint64_t seed) {
  const auto count = static_cast<std::int64_t>(singular.size());
  const Matrix u = Orthonormal(out, count, seed);
  const Matrix v = Orthonormal(in, count, seed + 1);
  Matrix product(static_cast<std::size_t>(out * in));
  for (std::int64_t i = 0; i < out; ++i) {
    for (std::int64_t j = 0; j < in; ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < count; ++k)
        sum += u[static_cast<std::size_t>(i * count + k)] * singular[static_cast<std::size_t>(k)] *
               v[static_cast<std::size_t>(j * count + k)];
      product[static_cast<std::size_t>(i * in + j)] = sum;
    }
  }
  return product;
}

double TailNorm(const std::vector<double>& singular, std::int64_t from) {
  double squares = 0;
  for (std::size_t k = static_cast<std::size_t>(from); k < singular.size(); ++k)
    squares += singular[k] * singular[k];
  return std::sqrt(squares);
}

double NormOf(const std::vector<double>& singular) { return TailNorm(singular, 0); }

double DistanceFrom(const Matrix& matrix, const LowRankFactors& factors, std::int64_t out,
                    std::int64_t in) {
  double squares = 0;
  for (std::int64_t i = 0; i < out; ++i) {
    for (std::int64_t j = 0; j < in; ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < factors.rank; ++k)
        sum += static_cast<double>(factors.b[static_cast<std::size_t>(i * factors.rank + k)]) *
               static_cast<double>(factors.a[static_cast<std::size_t>(k * in + j)]);
      const double difference = matrix[static_cast<std::size_t>(i * in + j)] - sum;
      squares += difference * difference;
    }
  }
  return std::sqrt(squares);
}

// Rounding both factors to F32 changes B A by at most 2^-23 |B| |A| (1 + 2^-24), and |B| |A| is the
// sum of the singular values.
double RoundingOf(const std::vector<double>& singular, std::int64_t rank) {
  return 1.01 * FLT_EPSILON *
         std::accumulate(singular.begin(), singular.begin() + static_cast<std::ptrdiff_t>(rank),
                         0.0);
}

TEST(TruncatedSvd, IsTheBestOfItsRank) {
  const std::vector<double> singular = {8, 4, 2, 1, 0.5, 0.25, 1e-3};
  for (const auto& [out, in] :
       {std::pair<std::int64_t, std::int64_t>{20, 31}, {31, 20}, {12, 12}}) {
    const Matrix matrix = WithSingularValues(out, in, singular, 3);
    for (const std::int64_t rank : {1, 3, 6}) {
      const LowRankFactors factors = TruncatedSvd(matrix, out, in, {.max_rank = rank});
      ASSERT_EQ(factors.rank, rank);
      EXPECT_NEAR(factors.norm, NormOf(singular), 1e-12);
      for (std::int64_t k = 0; k < rank; ++k) {
        EXPECT_NEAR(factors.singular[static_cast<std::size_t>(k)],
                    singular[static_cast<std::size_t>(k)], 1e-12);
      }
      // Eckart and Young: nothing of this rank is nearer than the tail.
      EXPECT_NEAR(factors.error, TailNorm(singular, rank), RoundingOf(singular, rank));
      EXPECT_NEAR(DistanceFrom(matrix, factors, out, in), factors.error, 1e-12);
    }
  }
}

TEST(TruncatedSvd, StopsWhereTheMatrixDoes) {
  const std::vector<double> singular = {3, 1};
  const Matrix matrix = WithSingularValues(9, 14, singular, 5);
  const LowRankFactors factors = TruncatedSvd(matrix, 9, 14, {.max_rank = 8});
  EXPECT_EQ(factors.rank, 2);
  EXPECT_LE(factors.error, RoundingOf(singular, 2));
  const LowRankFactors nothing = TruncatedSvd(Matrix(12, 0.0), 3, 4, {});
  EXPECT_EQ(nothing.rank, 0);
  EXPECT_EQ(nothing.norm, 0);
}

TEST(TruncatedSvd, TakesTheLeastRankThatHoldsTheEnergy) {
  const std::vector<double> singular = {2, 1, 1, 0.5};  // squares 4, 1, 1, 0.25
  const Matrix matrix = WithSingularValues(10, 10, singular, 7);
  const auto rank_for = [&](double energy, std::int64_t most) {
    return TruncatedSvd(matrix, 10, 10, {.max_rank = most, .energy = energy}).rank;
  };
  EXPECT_EQ(rank_for(0.6, 8), 1);  // 4 of 6.25 are 0.64
  EXPECT_EQ(rank_for(0.65, 8), 2);
  EXPECT_EQ(rank_for(0.9, 8), 3);  // 0.96
  EXPECT_EQ(rank_for(0.97, 8), 4);
  EXPECT_EQ(rank_for(0.97, 2), 2);
}

// Corollary 10.10 of Halko, Martinsson and Tropp bounds the mean over W of the spectral error of
// the basis; a Frobenius error of what lies outside of it is at most sqrt(min(out, in)) times that.
// Here the spectrum falls slowly, which is what the powers are for.
TEST(TruncatedSvd, RandomisedStaysWithinItsBound) {
  constexpr std::int64_t kOut = 150;
  constexpr std::int64_t kIn = 110;
  constexpr std::int64_t kRank = 8;
  std::vector<double> singular;
  for (int k = 1; k <= 100; ++k) singular.push_back(1.0 / k);
  const Matrix matrix = WithSingularValues(kOut, kIn, singular, 11);
  const double p = kOversampling;
  const double exponent = 2 * kPowers + 1;
  double tail = 0;
  for (std::size_t k = kRank; k < singular.size(); ++k) tail += std::pow(singular[k], 2 * exponent);
  const double bound =
      std::pow((1 + std::sqrt(kRank / (p - 1))) * std::pow(singular[kRank], exponent) +
                   std::exp(1.0) * std::sqrt(kRank + p) / p * std::sqrt(tail),
               1 / exponent);
  double mean = 0;
  constexpr int kSeeds = 10;
  for (int seed = 1; seed <= kSeeds; ++seed) {
    const LowRankFactors factors = TruncatedSvd(
        matrix, kOut, kIn,
        {.max_rank = kRank, .seed = static_cast<std::uint64_t>(seed), .way = SvdWay::kRandomised});
    ASSERT_EQ(factors.rank, kRank);
    // The singular values found never exceed the true ones, and miss them by what the basis misses:
    // s_k^2 - found^2 <= error^2 (Weyl), the error being at most twice the bound of its mean.
    for (std::size_t k = 0; k < kRank; ++k) {
      EXPECT_LE(factors.singular[k], singular[k] * (1 + 1e-12));
      EXPECT_GE(factors.singular[k] * factors.singular[k],
                singular[k] * singular[k] - 4 * bound * bound);
    }
    // What is lost against the best factors, in units of theirs.
    mean += factors.error / TailNorm(singular, kRank) / kSeeds;
  }
  // |D - B A|^2 = |D|^2 - sum found^2 <= tail^2 + rank * bound^2
  const double best = TailNorm(singular, kRank);
  EXPECT_LE(mean, std::sqrt(best * best + kRank * bound * bound) / best);
  // and with three powers it is far better than that.
  EXPECT_LE(mean, 1.001);
}

TEST(TruncatedSvd, ChoosesTheWayByTheSmallerSide) {
  const Matrix wide = WithSingularValues(2, 2000, {2, 1}, 17);
  const LowRankFactors by_size = TruncatedSvd(wide, 2, 2000, {.max_rank = 1});
  const LowRankFactors exact = TruncatedSvd(wide, 2, 2000, {.max_rank = 1, .way = SvdWay::kExact});
  EXPECT_EQ(by_size.a, exact.a);
  EXPECT_EQ(by_size.b, exact.b);
}

TEST(TruncatedSvd, RandomisedReproducesALowRankMatrix) {
  const std::vector<double> singular = {5, 3, 0.1, 1e-3};
  const Matrix matrix = WithSingularValues(130, 90, singular, 13);
  const SvdOptions options{.max_rank = 6, .way = SvdWay::kRandomised};
  const LowRankFactors factors = TruncatedSvd(matrix, 130, 90, options);
  EXPECT_EQ(factors.rank, 4);
  EXPECT_LE(factors.error, RoundingOf(singular, 4));
  const LowRankFactors again = TruncatedSvd(matrix, 130, 90, options);
  EXPECT_EQ(again.a, factors.a);
  EXPECT_EQ(again.b, factors.b);
}

}  // namespace
}  // namespace metier::merge
