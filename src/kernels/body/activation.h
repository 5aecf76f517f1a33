// kernels/body/activation.h - SiLU, GELU and ReLU, with the gate's product where there is one.
#pragma once

#include "kernels/body/lanes.h"

namespace metier::kernels::body {

template <class V>
V Sigmoid(V x) {
  return V::Set(1.0F) / (V::Set(1.0F) + Exp(V::Zero() - x));
}

struct Silu {
  template <class V>
  static V Of(V x) {
    return x * Sigmoid(x);
  }
};

// x Phi(x), Phi through erfc(z) = (a1 t + ... + a5 t^5) exp(-z^2), t = 1 / (1 + p z), z = |x| /
// sqrt 2 (Abramowitz and Stegun 7.1.26, absolute error 1.5e-7). For x < 0, Phi(x) = erfc(z) / 2
// directly: no 1 - (1 - small).
struct GeluErf {
  template <class V>
  static V Of(V x) {
    const V z = Max(x, V::Zero() - x) * V::Set(0.70710678118654752F);
    const V t = V::Set(1.0F) / MulAdd(V::Set(0.3275911F), z, V::Set(1.0F));
    V sum = V::Set(1.061405429F);
    sum = MulAdd(sum, t, V::Set(-1.453152027F));
    sum = MulAdd(sum, t, V::Set(1.421413741F));
    sum = MulAdd(sum, t, V::Set(-0.284496736F));
    sum = MulAdd(sum, t, V::Set(0.254829592F));
    const V tail = V::Set(0.5F) * sum * t * Exp(V::Zero() - z * z);
    return x * SelectGreaterEqual(x, V::Zero(), V::Set(1.0F) - tail, tail);
  }
};

// (1 + tanh(u)) / 2 = sigmoid(2 u).
struct GeluTanh {
  template <class V>
  static V Of(V x) {
    const V cubic = MulAdd(x * x * x, V::Set(0.044715F), x);
    return x * Sigmoid(cubic * V::Set(2 * 0.79788456080286536F));
  }
};

struct Relu {
  template <class V>
  static V Of(V x) {
    return Max(x, V::Zero());
  }
};

template <class V, class Act>
void Activate(const float* x, const float* up, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += V::kLanes) {
    const std::size_t lanes = n - i < V::kLanes ? n - i : V::kLanes;
    V y = Act::Of(LoadUpTo<V>(x + i, lanes));
    if (up != nullptr) y = y * LoadUpTo<V>(up + i, lanes);
    StoreUpTo(y, out + i, lanes);
  }
}

}  // namespace metier::kernels::body
