// train/reference_ops.h - the operations of ops.h as compositions of LibTorch's own, for devices
// without fused kernels and as the independent second opinion of tests.
#pragma once

#include "train/ops.h"
#include "train/torch.h"

namespace metier::train::reference {

Normed AddNorm(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight,
               const at::Tensor& bias, const model::NormSpec& norm, at::ScalarType out);
at::Tensor Gate(const at::Tensor& in, model::Activation activation, bool gated);
// int64 [count]: 64 random bits each, of (key, element) alone.
at::Tensor Draws(std::int64_t count, const at::Device& device, std::uint64_t key);
// The masks of cpu/kernels.h, bit for bit; not recorded for gradients.
at::Tensor Dropout(const at::Tensor& in, double p, std::uint64_t key);
// Sequences of similar length are computed together, padded to the longest of them: a batch of many
// short ones costs a dozen operations, not a dozen for each.
at::Tensor Attention(const at::Tensor& qkv, const AttentionShape& shape, const Layout& layout);
void AdamUpdate(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& first,
                const at::Tensor& second, const at::Tensor& act, const AdamStep& step);

}  // namespace metier::train::reference
