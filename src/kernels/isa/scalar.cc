// kernels/isa/scalar.cc - the table without instruction-set extensions: four lanes in plain C++.
//
// The compiler's own vector type: what the baseline of the target has (SSE2 on x86-64) is used, and
// nothing more is asked for. Products are not fused: a multiplication, then an addition.
#include "kernels/kernel_table.h"

namespace metier::kernels {
namespace {

using Floats = float __attribute__((vector_size(16)));
using Int32s = std::int32_t __attribute__((vector_size(16)));
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

using Octets = std::uint8_t __attribute__((vector_size(16)));
using Shorts = std::uint16_t __attribute__((vector_size(16)));

struct Bytes16 {
  Octets v;

  static Bytes16 Load(const std::byte* p) {
    Bytes16 bytes;
    __builtin_memcpy(&bytes.v, p, sizeof(bytes.v));
    return bytes;
  }
  void Store(std::byte* p) const { __builtin_memcpy(p, &v, sizeof(v)); }
  static Bytes16 Set(int x) {
    Bytes16 bytes;
    for (int i = 0; i < 16; ++i) bytes.v[i] = static_cast<std::uint8_t>(x);
    return bytes;
  }
  static Bytes16 Broadcast4(const std::int8_t* p) {
    Bytes16 bytes;
    for (int i = 0; i < 16; ++i) bytes.v[i] = static_cast<std::uint8_t>(p[i % 4]);
    return bytes;
  }
  static Bytes16 LookUp(const std::uint8_t* table, Bytes16 index) {
    for (int i = 0; i < 16; ++i) index.v[i] = table[index.v[i]];
    return index;
  }
  template <int kBits>
  static Bytes16 ShiftRight(Bytes16 a) {
    return {reinterpret_cast<Octets>(reinterpret_cast<Shorts>(a.v) >> kBits)};
  }
  template <int kBits>
  static Bytes16 ShiftLeft(Bytes16 a) {
    return {reinterpret_cast<Octets>(reinterpret_cast<Shorts>(a.v) << kBits)};
  }
  friend Bytes16 And(Bytes16 a, Bytes16 b) { return {a.v & b.v}; }
  friend Bytes16 Or(Bytes16 a, Bytes16 b) { return {a.v | b.v}; }
};

struct Ints4 {
  Int32s v;

  static Ints4 Set(std::int32_t x) { return {Int32s{x, x, x, x}}; }
  void Store(std::int32_t* p) const { __builtin_memcpy(p, &v, sizeof(v)); }
  template <int kByte>
  Ints4 ByteOfLane() const {
    return {reinterpret_cast<Int32s>((reinterpret_cast<Bits>(v) >> (8 * kByte)) & 255U)};
  }
  static Ints4 Of(Bytes16 a) { return {reinterpret_cast<Int32s>(a.v)}; }
  friend Ints4 DotAdd(Ints4 sums, Bytes16 codes, Bytes16 x) {
    for (int lane = 0; lane < 4; ++lane) {
      std::int32_t sum = sums.v[lane];
      for (int i = 4 * lane; i < 4 * lane + 4; ++i)
        sum += static_cast<std::int32_t>(codes.v[i]) * static_cast<std::int8_t>(x.v[i]);
      sums.v[lane] = sum;
    }
    return sums;
  }
  friend Ints4 DotAddWide(Ints4 sums, Bytes16 codes, Bytes16 x) { return DotAdd(sums, codes, x); }
};

struct F32x4 {
  using Bytes = Bytes16;
  using Ints = Ints4;
  static constexpr std::size_t kLanes = 4;
  static constexpr int kTileRows = 4;
  static constexpr int kTileOutputs = 2;
  static constexpr int kTileVectors = 2;
  static constexpr int kTilePackedRows = 2;
  static constexpr int kTileFloatRows = 4;
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
  // Each byte as `get` reads it.
  template <class Get>
  static F32x4 LoadFour(const std::byte* p, Get get) {
    F32x4 x = Zero();
    for (int i = 0; i < 4; ++i) x.v[i] = static_cast<float>(get(static_cast<std::uint8_t>(p[i])));
    return x;
  }
  static F32x4 LoadU8(const std::byte* p) {
    return LoadFour(p, [](std::uint8_t x) { return static_cast<int>(x); });
  }
  static F32x4 LoadI8(const std::byte* p) {
    return LoadFour(p,
                    [](std::uint8_t x) { return static_cast<int>(static_cast<std::int8_t>(x)); });
  }
  static F32x4 LoadLowNibbles(const std::byte* p) {
    return LoadFour(p, [](std::uint8_t x) { return x & 15; });
  }
  static F32x4 LoadHighNibbles(const std::byte* p) {
    return LoadFour(p, [](std::uint8_t x) { return x >> 4; });
  }
  void StoreI8(std::int8_t* p) const {
    for (int i = 0; i < 4; ++i) p[i] = static_cast<std::int8_t>(v[i]);
  }
  static F32x4 FromInts(Ints4 x) { return {__builtin_convertvector(x.v, Floats)}; }
  static F32x4 LowBf16(Ints4 x) {
    return {reinterpret_cast<Floats>(reinterpret_cast<Bits>(x.v) << 16)};
  }
  static F32x4 HighBf16(Ints4 x) {
    return {reinterpret_cast<Floats>(reinterpret_cast<Bits>(x.v) & 0xffff0000U)};
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
    const Int32s exponent = (__builtin_convertvector(n.v, Int32s) + 127) << 23;
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
