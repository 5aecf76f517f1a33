// kernels/body/elementwise.h - softmax, scaling, rotation, argmax: one pass over a row.
#pragma once

#include "kernels/body/lanes.h"

namespace metier::kernels::body {

// n >= 1. NaNs lose against anything.
template <class V>
float LargestOf(const float* x, std::size_t n) {
  V best = V::Set(-__builtin_inff());
  const std::size_t whole = n - n % V::kLanes;
  for (std::size_t i = 0; i < whole; i += V::kLanes) best = Max(V::Load(x + i), best);
  float largest = ReduceMax(best);
  for (std::size_t i = whole; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

// x[i] = exp(x[i] - shift); returns the sum.
template <class V>
float ExpShifted(float* x, std::size_t n, float shift) {
  const V shifts = V::Set(shift);
  V sum = V::Zero();
  std::size_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    const V e = Exp(V::Load(x + i) - shifts);
    sum = sum + e;
    e.Store(x + i);
  }
  if (i < n) {
    StorePart(Exp(LoadPart<V>(x + i, n - i) - shifts), x + i, n - i);
    sum = sum + LoadPart<V>(x + i, n - i);  // from memory: the lanes behind the end are zero there
  }
  return ReduceAdd(sum);
}

template <class V>
void Scale(float* x, float factor, std::size_t n) {
  Map<V>(x, x, n, [factor](V a, std::size_t, std::size_t) { return a * V::Set(factor); });
}

template <class V>
void Softmax(float* x, std::size_t n) {
  const float sum = ExpShifted<V>(x, n, LargestOf<V>(x, n));
  Map<V>(x, x, n, [sum](V a, std::size_t, std::size_t) { return a / V::Set(sum); });
}

template <class V>
void AddScaled(float* y, const float* x, float factor, std::size_t n) {
  Map<V>(y, y, n, [x, factor](V a, std::size_t i, std::size_t lanes) {
    return MulAdd(V::Set(factor), LoadUpTo<V>(x + i, lanes), a);
  });
}

template <class V>
void Rope(float* x, const float* cosine, const float* sine, std::size_t half) {
  for (std::size_t i = 0; i < half; i += V::kLanes) {
    const std::size_t n = half - i < V::kLanes ? half - i : V::kLanes;
    const V a = LoadUpTo<V>(x + i, n);
    const V b = LoadUpTo<V>(x + half + i, n);
    const V c = LoadUpTo<V>(cosine + i, n);
    const V s = LoadUpTo<V>(sine + i, n);
    StoreUpTo(a * c - b * s, x + i, n);
    StoreUpTo(MulAdd(b, c, a * s), x + half + i, n);
  }
}

template <class V>
std::size_t Argmax(const float* x, std::size_t n) {
  const float largest = LargestOf<V>(x, n);
  for (std::size_t i = 0; i < n; ++i) {
    if (x[i] == largest) return i;
  }
  return 0;
}

}  // namespace metier::kernels::body
