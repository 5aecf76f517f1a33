// kernels/isa/scalar.cc - the table without instruction-set extensions: four lanes in plain C++.
//
// The compiler's own vector type: what the baseline of the target has (SSE2 on x86-64) is used, and
// nothing more is asked for. Products are not fused: a multiplication, then an addition.
#include "kernels/kernel_table.h"

namespace metier::kernels {
namespace {

using Floats = float __attribute__((vector_size(16)));
using Ints = std::int32_t __attribute__((vector_size(16)));
using Bits = std::uint32_t __attribute__((vector_size(16)));

float FloatOfHalf(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  const std::uint32_t exponent = (half >> 10) & 31U;
  const std::uint32_t fraction = half & 1023U;
  std::uint32_t bits = sign | ((exponent + 112) << 23) | (fraction << 13);
  if (exponent == 31) bits = sign | 0x7f800000U | (fraction << 13);
  float value = 0;
  __builtin_memcpy(&value, &bits, sizeof(value));
  if (exponent != 0) return value;
  const float subnormal = static_cast<float>(fraction) * 0x1.0p-24F;
  return sign == 0 ? subnormal : -subnormal;
}

struct F32x4 {
  static constexpr std::size_t kLanes = 4;
  static constexpr int kTileRows = 4;
  static constexpr int kTileOutputs = 2;
  Floats v;

  static F32x4 Zero() { return {Floats{}}; }
  static F32x4 Set(float x) { return {Floats{x, x, x, x}}; }
  static F32x4 Load(const float* p) { return {Floats{p[0], p[1], p[2], p[3]}}; }
  static F32x4 LoadBf16(const std::uint16_t* p) {
    const Bits bits = Bits{p[0], p[1], p[2], p[3]} << 16;
    return {reinterpret_cast<Floats>(bits)};
  }
  static F32x4 LoadF16(const std::uint16_t* p) {
    return {Floats{FloatOfHalf(p[0]), FloatOfHalf(p[1]), FloatOfHalf(p[2]), FloatOfHalf(p[3])}};
  }
  void Store(float* p) const {
    for (int i = 0; i < 4; ++i) p[i] = v[i];
  }

  friend F32x4 operator+(F32x4 a, F32x4 b) { return {a.v + b.v}; }
  friend F32x4 operator-(F32x4 a, F32x4 b) { return {a.v - b.v}; }
  friend F32x4 operator*(F32x4 a, F32x4 b) { return {a.v * b.v}; }
  friend F32x4 operator/(F32x4 a, F32x4 b) { return {a.v / b.v}; }
  friend F32x4 MulAdd(F32x4 a, F32x4 b, F32x4 c) { return {a.v * b.v + c.v}; }
  friend F32x4 Max(F32x4 a, F32x4 b) { return {a.v > b.v ? a.v : b.v}; }
  friend F32x4 Min(F32x4 a, F32x4 b) { return {a.v < b.v ? a.v : b.v}; }
  friend F32x4 SelectGreaterEqual(F32x4 a, F32x4 b, F32x4 x, F32x4 y) {
    return {a.v >= b.v ? x.v : y.v};
  }
  // Adding 1.5 * 2^23 leaves no bits for a fraction: the adder rounds to the nearest integer.
  friend F32x4 RoundToInteger(F32x4 x) {
    const F32x4 magic = Set(12582912.0F);
    return (x + magic) - magic;
  }
  friend F32x4 PowerOfTwo(F32x4 n) {
    const Ints exponent = (__builtin_convertvector(n.v, Ints) + 127) << 23;
    return {reinterpret_cast<Floats>(exponent)};
  }
  friend float ReduceAdd(F32x4 x) { return (x.v[0] + x.v[2]) + (x.v[1] + x.v[3]); }
  friend float ReduceMax(F32x4 x) {
    float largest = x.v[0];
    for (int i = 1; i < 4; ++i) largest = x.v[i] > largest ? x.v[i] : largest;
    return largest;
  }
};

}  // namespace
}  // namespace metier::kernels

#include "kernels/body/table.h"

namespace metier::kernels {
extern const KernelTable kScalarTable;
constinit const KernelTable kScalarTable = body::TableOf<F32x4>("scalar");
}  // namespace metier::kernels
