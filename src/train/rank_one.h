// train/rank_one.h - changes of a linear W that give some keys other values and move all other keys
// as little as their covariance allows: the closed forms of ROME and MEMIT.
//
// All tensors are double, on one device.
#pragma once

#include "base/result.h"
#include "train/torch.h"

namespace metier::train {

// r (C^-1 k)^T / (k^T C^-1 k) [out, in], so that (W + change) k = W k + r: Meng et al. 2022 (arXiv
// 2202.05262), equation 2. covariance: [in, in], symmetric; key: [in]; residual r: [out].
// kInvalidArgument: a covariance that is not positive definite, a key of zeros.
Result<at::Tensor> RomeChange(const at::Tensor& covariance, const at::Tensor& key,
                              const at::Tensor& residual);

// R K^T (C + K K^T)^-1 [out, in], the least squares over keys with new values and the covariance of
// those with old ones: Meng et al. 2023 (arXiv 2210.07229), equation 14. covariance: lambda E[k
// k^T] [in, in]; keys K: [in, facts]; residuals R: [out, facts]. kInvalidArgument: a sum that is
// not positive definite.
Result<at::Tensor> MemitChange(const at::Tensor& covariance, const at::Tensor& keys,
                               const at::Tensor& residuals);

}  // namespace metier::train
