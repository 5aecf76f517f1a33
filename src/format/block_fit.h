// format/block_fit.h - what the encoders share: storing f16 and nibbles, and scales by least
// squares.
//
// Internal to format/. The loops run over a compile-time number of values with sums in kLanes
// chains, so that the compiler can use whatever vectors the build allows and the order of additions
// stays written here.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tensor/half.h"

namespace metier::format {

// Stores an f16. False where it would be infinite.
inline bool PutF16(float value, std::byte* out) {
  const std::uint16_t bits = tensor::ToF16(value);
  std::memcpy(out, &bits, sizeof bits);
  return (bits & 0x7fffU) < 0x7c00U;
}

// What a decoder will read back.
inline float GetF16(const std::byte* in) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, in, sizeof bits);
  return tensor::FromF16(bits);
}

inline std::byte Nibbles(int low, int high) { return static_cast<std::byte>(low | high << 4); }

// 1 / d; 0 where that is not finite: such a scale is below f16's smallest, and every level is
// worth nothing.
inline float Inverse(float d) {
  const float inverse = 1.0F / d;
  return std::isfinite(inverse) ? inverse : 0.0F;
}

// The value of largest magnitude with its sign, the first of equal ones.
inline float Extreme(const float* x, int n) {
  float extreme = 0;
  for (int i = 0; i < n; ++i) {
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  }
  return extreme;
}

// The nearest integer, ties to even, of |x| < 2^22: a sum whose last bit is worth one.
inline float Nearest(float x) {
  constexpr float kOnes = 12582912.0F;  // 1.5 * 2^23
  return (x + kOnes) - kOnes;
}

// The nearest integer of [least, most], whole numbers of less than 2^22.
inline float NearestWithin(float x, float least, float most) {
  const float above = x < least ? least : x;
  return Nearest(above > most ? most : above);
}

inline constexpr int kLanes = 8;

// Sum of a[i] * b[i].
template <int N>
float SumOfProducts(const std::array<float, N>& a, const std::array<float, N>& b) {
  static_assert(N % kLanes == 0);
  std::array<float, kLanes> sums{};
  for (std::size_t i = 0; i < N; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  float sum = 0;
  for (const float lane : sums) sum += lane;
  return sum;
}

// The factor f whose f * levels come nearest to x + shift, for the best of the candidates.
template <int N>
class ScaleSearch {
 public:
  explicit ScaleSearch(const float* x, float shift = 0) {
    for (std::size_t i = 0; i < N; ++i) x_[i] = x[i] + shift;
  }

  // The squared error of levels l under their best factor xl / ll is sum x^2 - xl^2 / ll.
  void Try(const std::array<float, N>& levels) {
    const float xl = SumOfProducts<N>(x_, levels);
    const float ll = SumOfProducts<N>(levels, levels);
    if (ll <= 0 || xl * xl <= gain_ * ll) return;
    gain_ = xl * xl / ll;
    scale_ = xl / ll;
  }

  const std::array<float, N>& x() const { return x_; }
  float scale() const { return scale_; }

 private:
  std::array<float, N> x_;
  float gain_ = 0;
  float scale_ = 0;
};

}  // namespace metier::format
