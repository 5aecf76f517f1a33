#include "merge/truncated_svd.h"

#include <Eigen/Eigenvalues>
#include <Eigen/QR>
#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/rng.h"

namespace metier::merge {
namespace {

using RowMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using DenseMatrix = Eigen::MatrixXd;
using Index = Eigen::Index;

constexpr Index kExactSide = 512;
// Singular values below this share of the largest are rounding: of the weights (F32, 6e-8 of them),
// and of the Gram matrix (sqrt(n DBL_EPSILON), 3e-7 for n = 512).
constexpr double kNumericalRank = 1e-6;

// D = U diag(s) V^T, the leading part: u [out, count], s descending, v [in, count].
struct Leading {
  DenseMatrix u;
  Eigen::VectorXd s;
  DenseMatrix v;
};

// All singular triples that are not rounding.
template <class AnyMatrix>
Leading ExactSvd(const AnyMatrix& d) {
  const bool wide = d.rows() <= d.cols();
  const DenseMatrix gram = wide ? DenseMatrix(d * d.transpose()) : DenseMatrix(d.transpose() * d);
  const Eigen::SelfAdjointEigenSolver<DenseMatrix> solver(gram);  // ascending
  const Index side = gram.rows();
  Eigen::VectorXd s = solver.eigenvalues().reverse().cwiseMax(0).cwiseSqrt();
  Index count = 0;
  while (count < side && s[count] > 0 && s[count] > kNumericalRank * s[0]) ++count;
  const DenseMatrix vectors = solver.eigenvectors().rightCols(count).rowwise().reverse();
  Leading leading;
  leading.s = s.head(count);
  const DenseMatrix others = wide ? DenseMatrix(d.transpose() * vectors) : DenseMatrix(d * vectors);
  const DenseMatrix scaled = others * leading.s.cwiseInverse().asDiagonal();
  leading.u = wide ? vectors : scaled;
  leading.v = wide ? scaled : vectors;
  return leading;
}

DenseMatrix Orthonormal(const DenseMatrix& y) {
  const Eigen::HouseholderQR<DenseMatrix> qr(y);
  return qr.householderQ() * DenseMatrix::Identity(y.rows(), y.cols());
}

// Re-orthonormalised between the powers, or all columns would become the leading vector.
Leading RandomisedSvd(const Eigen::Map<const RowMatrix>& d, Index columns, std::uint64_t seed) {
  Rng rng(seed);
  DenseMatrix w(d.cols(), columns);
  for (Index j = 0; j < columns; ++j) {
    for (Index i = 0; i < d.cols(); ++i) w(i, j) = rng.Normal();
  }
  DenseMatrix q = Orthonormal(d * w);
  for (int power = 0; power < kPowers; ++power) {
    q = Orthonormal(d.transpose() * q);
    q = Orthonormal(d * q);
  }
  Leading leading = ExactSvd(DenseMatrix(q.transpose() * d));
  leading.u = q * leading.u;
  return leading;
}

std::int64_t RankFor(const Eigen::VectorXd& s, double norm, const SvdOptions& options) {
  const std::int64_t most = std::min<std::int64_t>(options.max_rank, s.size());
  if (options.energy >= 1) return most;
  double held = 0;
  for (std::int64_t rank = 0; rank < most; ++rank) {
    held += s[rank] * s[rank];
    if (held >= options.energy * norm * norm) return rank + 1;
  }
  return most;
}

}  // namespace

LowRankFactors TruncatedSvd(std::span<const double> matrix, std::int64_t out, std::int64_t in,
                            const SvdOptions& options) {
  METIER_CHECK(out >= 1 && in >= 1 && options.max_rank >= 1 &&
                   matrix.size() == static_cast<std::size_t>(out) * static_cast<std::size_t>(in),
               "a matrix [out, in] and a rank");
  const Eigen::Map<const RowMatrix> d(matrix.data(), out, in);
  LowRankFactors factors;
  factors.norm = d.norm();
  if (factors.norm == 0) return factors;
  const Index side = std::min(d.rows(), d.cols());
  const Index columns = std::min<Index>(options.max_rank + kOversampling, side);
  const bool small = side <= kExactSide || 2 * columns >= side;
  const bool exact = options.way == SvdWay::kExact || (options.way == SvdWay::kBySize && small);
  const Leading leading = exact ? ExactSvd(d) : RandomisedSvd(d, columns, options.seed);
  factors.rank = RankFor(leading.s, factors.norm, options);
  const Eigen::VectorXd s = leading.s.head(factors.rank);
  factors.singular.assign(s.data(), s.data() + s.size());

  const Eigen::VectorXd roots = s.cwiseSqrt();
  using RowFloats = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const RowFloats b = (leading.u.leftCols(factors.rank) * roots.asDiagonal()).cast<float>();
  const RowFloats a =
      (roots.asDiagonal() * leading.v.leftCols(factors.rank).transpose()).cast<float>();
  factors.b.assign(b.data(), b.data() + b.size());
  factors.a.assign(a.data(), a.data() + a.size());
  factors.error = (d - b.cast<double>() * a.cast<double>()).norm();
  return factors;
}

}  // namespace metier::merge
