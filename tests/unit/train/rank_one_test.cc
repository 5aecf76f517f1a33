// The closed forms of edits against dense solves in double.
#include "train/rank_one.h"

#include <cmath>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "support/fixtures.h"
#include "unit/train/device.h"

namespace metier::train {
namespace {

at::Tensor Normal(at::IntArrayRef shape, std::uint64_t seed) {
  const at::Tensor out = at::empty(shape, at::kDouble);
  Rng rng(seed);
  for (std::int64_t i = 0; i < out.numel(); ++i) out.data_ptr<double>()[i] = rng.Normal();
  return out.to(TestDevice());
}

// E[k k^T] of some keys: positive definite, directions of very different length.
at::Tensor Covariance(std::int64_t size) {
  const at::Tensor keys =
      Normal({4 * size, size}, 3) * at::linspace(0.05, 3, size, at::kDouble).to(TestDevice());
  return at::mm(keys.t(), keys) / static_cast<double>(4 * size);
}

// matrix^-1 column by Gaussian elimination with pivots: nothing of what is tested.
std::vector<double> DenseSolve(const at::Tensor& matrix, const at::Tensor& column) {
  const at::Tensor a = matrix.to(at::kCPU).contiguous();
  const at::Tensor b = column.to(at::kCPU).contiguous();
  const auto n = static_cast<std::size_t>(a.size(0));
  std::vector<std::vector<double>> rows(n, std::vector<double>(n + 1));
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) rows[i][j] = a.data_ptr<double>()[i * n + j];
    rows[i][n] = b.data_ptr<double>()[i];
  }
  for (std::size_t p = 0; p < n; ++p) {
    std::size_t best = p;
    for (std::size_t i = p; i < n; ++i)
      if (std::abs(rows[i][p]) > std::abs(rows[best][p])) best = i;
    std::swap(rows[p], rows[best]);
    for (std::size_t i = 0; i < n; ++i) {
      if (i == p) continue;
      const double factor = rows[i][p] / rows[p][p];
      for (std::size_t j = p; j <= n; ++j) rows[i][j] -= factor * rows[p][j];
    }
  }
  std::vector<double> solved(n);
  for (std::size_t i = 0; i < n; ++i) solved[i] = rows[i][n] / rows[i][i];
  return solved;
}

at::Tensor AsTensor(const std::vector<double>& values) {
  return torch::tensor(values, at::kDouble).to(TestDevice());
}

double Largest(const at::Tensor& values) { return values.abs().max().item<double>(); }

// Both solvers are backward stable: their errors are condition x 2^-53, and the covariance's
// condition is near 10^4.
constexpr double kBound = 1e-10;

TEST(RomeChangeTest, IsTheDenseSolution) {
  const at::Tensor c = Covariance(24);
  const at::Tensor k = Normal({24}, 5);
  const at::Tensor r = Normal({10}, 6);
  ASSERT_OK_AND_ASSIGN(const at::Tensor change, RomeChange(c, k, r));
  const at::Tensor u = AsTensor(DenseSolve(c, k));
  const at::Tensor expected = at::outer(r, u) / at::dot(k, u);
  EXPECT_LT(Largest(change - expected), kBound * Largest(expected));
}

TEST(RomeChangeTest, GivesTheKeyItsValueAndMovesOtherKeysLeast) {
  const at::Tensor c = Covariance(24);
  const at::Tensor k = Normal({24}, 5);
  const at::Tensor w = Normal({10, 24}, 7);
  const at::Tensor v = Normal({10}, 8);
  ASSERT_OK_AND_ASSIGN(const at::Tensor change, RomeChange(c, k, v - at::mv(w, k)));
  EXPECT_LT(Largest(at::mv(w + change, k) - v), kBound * Largest(v));
  // Any other change that gives k its value, this one plus something across k, moves keys more:
  // tr(D C D^T) is the mean square of what keys of covariance C are moved by.
  const auto moved = [&c](const at::Tensor& by) {
    return at::mm(at::mm(by, c), by.t()).trace().item<double>();
  };
  for (std::uint64_t seed = 10; seed < 20; ++seed) {
    const at::Tensor any = Normal({10, 24}, seed);
    const at::Tensor across = any - at::outer(at::mv(any, k), k) / at::dot(k, k);
    EXPECT_GT(moved(change + 0.01 * across), moved(change)) << seed;
  }
}

TEST(MemitChangeTest, IsTheDenseSolution) {
  const at::Tensor c = Covariance(24) * 7;
  const at::Tensor keys = Normal({24, 5}, 5);
  const at::Tensor r = Normal({10, 5}, 6);
  ASSERT_OK_AND_ASSIGN(const at::Tensor change, MemitChange(c, keys, r));
  const at::Tensor sum = c + at::mm(keys, keys.t());
  const at::Tensor right = at::mm(r, keys.t());  // change sum = right, row by row
  for (std::int64_t row = 0; row < 10; ++row) {
    const at::Tensor expected = AsTensor(DenseSolve(sum, right[row]));
    EXPECT_LT(Largest(change[row] - expected), kBound * Largest(expected)) << row;
  }
}

TEST(MemitChangeTest, HitsItsKeysWhereOthersWeighLittle) {
  const at::Tensor keys = Normal({24, 5}, 5);
  const at::Tensor r = Normal({10, 5}, 6);
  ASSERT_OK_AND_ASSIGN(const at::Tensor change, MemitChange(Covariance(24) * 1e-9, keys, r));
  EXPECT_LT(Largest(at::mm(change, keys) - r), 1e-5 * Largest(r));
}

// (C + k k^T)^-1 k = C^-1 k / (1 + k^T C^-1 k), by Sherman and Morrison.
TEST(MemitChangeTest, OfOneFactIsRomesDirection) {
  const at::Tensor c = Covariance(24) * 7;
  const at::Tensor k = Normal({24}, 5);
  const at::Tensor r = Normal({10}, 6);
  ASSERT_OK_AND_ASSIGN(const at::Tensor rome, RomeChange(c, k, r));
  ASSERT_OK_AND_ASSIGN(const at::Tensor memit, MemitChange(c, k.unsqueeze(1), r.unsqueeze(1)));
  const double length = at::dot(k, AsTensor(DenseSolve(c, k))).item<double>();
  EXPECT_LT(Largest(memit - rome * (length / (1 + length))), kBound * Largest(rome));
}

TEST(RankOne, RefusesWhatHasNoSolution) {
  const at::Tensor k = Normal({6}, 5);
  const at::Tensor r = Normal({3}, 6);
  const at::Tensor half = Covariance(6);
  half[4].zero_();
  half.t()[4].zero_();
  EXPECT_ERROR(RomeChange(half, k, r), ErrorCode::kInvalidArgument,
               "leading minor of order 5 is not");
  EXPECT_ERROR(RomeChange(Covariance(6), at::zeros_like(k), r), ErrorCode::kInvalidArgument,
               "choose another layer");
  EXPECT_ERROR(MemitChange(-Covariance(6), k.unsqueeze(1), r.unsqueeze(1)),
               ErrorCode::kInvalidArgument, "not positive definite");
}

}  // namespace
}  // namespace metier::train
