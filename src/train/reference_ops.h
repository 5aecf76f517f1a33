// train/reference_ops.h - the operations of ops.h as compositions of LibTorch's own, for devices
// without fused kernels and as the independent second opinion of tests.
#pragma once

#include "train/ops.h"
#include "train/torch.h"

namespace metier::train::reference {

Normed AddNorm(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight,
               const at::Tensor& bias, const model::NormSpec& norm, at::ScalarType out);
at::Tensor Gate(const at::Tensor& in, model::Activation activation, bool gated);
at::Tensor Attention(const at::Tensor& qkv, const AttentionShape& shape, const Layout& layout);
void AdamUpdate(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& first,
                const at::Tensor& second, const at::Tensor& act, const AdamStep& step);

}  // namespace metier::train::reference
