// merge/truncated_svd.h - the best low-rank factors of a matrix: its leading singular vectors.
//
//   D [out, in]  ~  B A,   B = U sqrt(S) [out, rank],  A = sqrt(S) V^T [rank, in]
//
// Two ways, by size:
//
// - exact: eigenvectors of the Gram matrix of the smaller side, in double. A singular value is
// found
//   to about 1e-8 of the largest, below the rounding of F32 weights (6e-8). Cost: n^3 of the
//   smaller side n. Taken up to n = 512, and where the rank asked for is near n.
// - randomised (Halko, Martinsson and Tropp 2011, algorithms 4.4 and 5.1): an orthonormal basis Q
// of
//   (D D^T)^q D W, W [in, l] normal, l = rank + kOversampling columns, q = kPowers powers, and the
//   exact way on Q^T D. With p = kOversampling the expected error of the basis is at most
//   (corollary 10.10, in the spectral norm)
//
//     [ (1 + sqrt(rank / (p - 1))) s^(2q+1) + e sqrt(rank + p) / p (sum_j>rank s_j^(4q+2))^(1/2) ]
//     ^ (1 / (2q + 1)),   s = s_(rank+1)
//
//   against s itself for the best factors. Cost: (2q + 2) * out * in * l products.
//
// The same matrix, rank and seed give the same bits. Threads: none of its own.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace metier::merge {

inline constexpr std::int64_t kOversampling = 16;
inline constexpr int kPowers = 3;

struct LowRankFactors {
  std::int64_t rank = 0;
  std::vector<float> b;          // [out, rank]
  std::vector<float> a;          // [rank, in]
  std::vector<double> singular;  // [rank], descending
  double norm = 0;               // Frobenius norm of D
  double error = 0;              // of D - B A, measured on the factors as rounded to F32
};

enum class SvdWay { kBySize, kExact, kRandomised };

struct SvdOptions {
  std::int64_t max_rank = 16;  // at least 1; the smaller side of the matrix at most is used
  // The least rank whose singular values hold this share of the sum of all squares is taken, up to
  // max_rank; 1: max_rank.
  double energy = 1;
  std::uint64_t seed = 1;
  SvdWay way = SvdWay::kBySize;
};

// matrix: [out, in], row by row. Rank 0 for a matrix of zeros; never more than the numerical rank
// (singular values above 1e-6 of the largest). Requires out and in of at least 1.
LowRankFactors TruncatedSvd(std::span<const double> matrix, std::int64_t out, std::int64_t in,
                            const SvdOptions& options);

}  // namespace metier::merge
