// kernels/body/norm.h - RMS norm (Zhang and Sennrich 2019) and LayerNorm (Ba et al. 2016) of a row.
#pragma once

#include "kernels/body/product.h"

namespace metier::kernels::body {

template <class V>
void RmsNorm(const float* x, const float* weight, float epsilon, float* out, std::size_t n) {
  const float mean = Dot<V>(x, x, n) / static_cast<float>(n);
  const float scale = 1.0F / __builtin_sqrtf(mean + epsilon);
  Map<V>(x, out, n, [weight, scale](V a, std::size_t i, std::size_t lanes) {
    return a * V::Set(scale) * LoadUpTo<V>(weight + i, lanes);
  });
}

template <class V>
float SumOf(const float* x, std::size_t n) {
  V sum = V::Zero();
  std::size_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) sum = sum + V::Load(x + i);
  if (i < n) sum = sum + LoadPart<V>(x + i, n - i);
  return ReduceAdd(sum);
}

// Two passes: the variance from centred values, because mean(x^2) - mean(x)^2 cancels.
template <class V>
void LayerNorm(const float* x, const float* weight, const float* bias, float epsilon, float* out,
               std::size_t n) {
  const float mean = SumOf<V>(x, n) / static_cast<float>(n);
  Map<V>(x, out, n, [mean](V a, std::size_t, std::size_t) { return a - V::Set(mean); });
  const float variance = Dot<V>(out, out, n) / static_cast<float>(n);
  const float scale = 1.0F / __builtin_sqrtf(variance + epsilon);
  Map<V>(out, out, n, [weight, bias, scale](V a, std::size_t i, std::size_t lanes) {
    const V scaled = a * V::Set(scale) * LoadUpTo<V>(weight + i, lanes);
    return bias == nullptr ? scaled : scaled + LoadUpTo<V>(bias + i, lanes);
  });
}

}  // namespace metier::kernels::body
