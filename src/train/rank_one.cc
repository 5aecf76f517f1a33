#include "train/rank_one.h"

#include <fmt/format.h>

namespace metier::train {
namespace {

// matrix^-1 columns, by Cholesky's factor.
Result<at::Tensor> SolveDefinite(const at::Tensor& matrix, const at::Tensor& columns) {
  const auto [factor, info] = at::linalg_cholesky_ex(matrix);
  const auto failed = info.item<std::int64_t>();
  if (failed != 0) {
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("the covariance of keys [{}, {}] is not positive definite: its leading "
                    "minor of order {} is not; give more texts or a larger ridge",
                    matrix.size(0), matrix.size(1), failed));
  }
  return at::cholesky_solve(columns, factor);
}

}  // namespace

Result<at::Tensor> RomeChange(const at::Tensor& covariance, const at::Tensor& key,
                              const at::Tensor& residual) {
  METIER_ASSIGN(const at::Tensor solved, SolveDefinite(covariance, key.unsqueeze(1)));
  const at::Tensor direction = solved.squeeze(1);
  const auto length = at::dot(key, direction).item<double>();
  if (!(length > 0)) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("the key's length under the covariance is {}, expected more than 0: "
                             "the feed-forward says nothing at the subject; choose another layer",
                             length));
  }
  return at::outer(residual, direction / length);
}

Result<at::Tensor> MemitChange(const at::Tensor& covariance, const at::Tensor& keys,
                               const at::Tensor& residuals) {
  const at::Tensor sum = at::addmm(covariance, keys, keys.t());
  METIER_ASSIGN(const at::Tensor solved, SolveDefinite(sum, keys));
  return at::mm(residuals, solved.t());
}

}  // namespace metier::train
