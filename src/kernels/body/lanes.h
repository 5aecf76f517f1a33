// kernels/body/lanes.h - what every body needs of V, and the loops that end inside a vector.
//
// V is a struct of the including unit's anonymous namespace, so every instantiation is internal to
// that unit and the linker can never hand AVX code to a scalar caller. It has:
//
//   kLanes, kTileRows, kTileOutputs    lanes; products keep a tile of rows x outputs in registers
//   Zero() Set(x) Load(p) Store(p)     p: kLanes floats, any alignment of float
//   LoadBf16(p) LoadF16(p)             p: kLanes 16-bit patterns
//   a + b, a - b, a * b, a / b, Max, Min, MulAdd(a, b, c) = a * b + c (fused where the set has it)
//   SelectGreaterEqual(a, b, x, y)     per lane: a >= b ? x : y
//   RoundToInteger(x), PowerOfTwo(n)   nearest integer, |x| < 2^22; 2^n for integers -126..127
//   ReduceAdd(x), ReduceMax(x)         over the lanes, in a fixed tree
//
// and for packed weights (kernels/packed.h):
//
//   kTileVectors kTilePackedRows kTileFloatRows    tiles of outputs x rows, 8-bit and float
//   LoadU8 LoadI8 LoadLowNibbles LoadHighNibbles(p)    kLanes bytes as floats
//   StoreI8(p)                         integers in [-128, 127] as bytes
//   Bytes: 4 * kLanes of them          Load Store Set(x) And Or ShiftRight<n> ShiftLeft<n> (of
//   16-bit
//                                      lanes), LookUp(table of 16, indices < 16), Broadcast4(p):
//                                      the same four bytes in each lane
//   Ints: kLanes of 32 bits            Set(x), Of(bytes), Store(p), ByteOfLane<n>() unsigned
//   DotAdd(ints, codes, x)             per lane: + the sum of four products, codes unsigned, x
//   signed;
//                                      DotAddWide: the same where codes exceed 127
//   FromInts(ints), LowBf16(ints), HighBf16(ints)
#pragma once

#include <cstddef>
#include <cstdint>

// Tiles live in registers only when their loops are gone.
#ifdef __clang__
#define METIER_UNROLL _Pragma("unroll")
#else
#define METIER_UNROLL _Pragma("GCC unroll 16")
#endif

// Sums handed to a function that is not inlined go through memory.
#define METIER_INLINE __attribute__((always_inline)) inline

namespace metier::kernels::body {

// The first n lanes from p, zeros behind. 0 < n < kLanes; nothing past p + n is touched.
template <class V>
V LoadPart(const float* p, std::size_t n) {
  float lanes[V::kLanes] = {};
  for (std::size_t i = 0; i < n; ++i) lanes[i] = p[i];
  return V::Load(lanes);
}

template <class V>
void StorePart(V x, float* p, std::size_t n) {
  float lanes[V::kLanes];
  x.Store(lanes);
  for (std::size_t i = 0; i < n; ++i) p[i] = lanes[i];
}

// 0 < n <= kLanes: the last vector of a row and those before it alike.
template <class V>
V LoadUpTo(const float* p, std::size_t n) {
  return n == V::kLanes ? V::Load(p) : LoadPart<V>(p, n);
}

template <class V>
void StoreUpTo(V x, float* p, std::size_t n) {
  if (n == V::kLanes) {
    x.Store(p);
  } else {
    StorePart(x, p, n);
  }
}

// How a stored weight becomes floats.
struct F32Weights {
  using Element = float;
  template <class V>
  static V Load(const Element* p) {
    return V::Load(p);
  }
};
struct Bf16Weights {
  using Element = std::uint16_t;
  template <class V>
  static V Load(const Element* p) {
    return V::LoadBf16(p);
  }
};
struct F16Weights {
  using Element = std::uint16_t;
  template <class V>
  static V Load(const Element* p) {
    return V::LoadF16(p);
  }
};

struct Int8Weights {
  using Element = std::int8_t;
  template <class V>
  static V Load(const Element* p) {
    return V::LoadI8(reinterpret_cast<const std::byte*>(p));
  }
};

template <class V, class W>
V LoadWeightsPart(const typename W::Element* p, std::size_t n) {
  typename W::Element lanes[V::kLanes] = {};
  for (std::size_t i = 0; i < n; ++i) lanes[i] = p[i];
  return W::template Load<V>(lanes);
}

// e^x to 2 ulp for x in [-87, 88]; 0 below, e^88 above. n = round(x / ln 2), Taylor on the rest
// (|r| <= 0.347: the first term left out, r^8 / 8!, is 5e-9), then an exact 2^n.
template <class V>
V Exp(V x) {
  const V low = V::Set(-87.0F);
  const V clamped = Max(Min(x, V::Set(88.0F)), low);
  const V n = RoundToInteger(clamped * V::Set(1.44269504088896341F));
  // ln 2 in two parts: n * the first is exact, so the subtraction loses nothing (Cody and Waite).
  V r = MulAdd(n, V::Set(-0.693359375F), clamped);
  r = MulAdd(n, V::Set(2.12194440054690583e-4F), r);
  V sum = V::Set(1.0F / 5040);
  sum = MulAdd(sum, r, V::Set(1.0F / 720));
  sum = MulAdd(sum, r, V::Set(1.0F / 120));
  sum = MulAdd(sum, r, V::Set(1.0F / 24));
  sum = MulAdd(sum, r, V::Set(1.0F / 6));
  sum = MulAdd(sum, r, V::Set(0.5F));
  sum = MulAdd(sum, r, V::Set(1.0F));
  sum = MulAdd(sum, r, V::Set(1.0F));
  return SelectGreaterEqual(x, low, sum * PowerOfTwo(n), V::Zero());
}

// Calls f(vector of x) for all of x[0, n) and stores what it returns in out; the last, partial
// vector takes the same path as the others, so a value's bits do not depend on where it stands.
template <class V, class F>
void Map(const float* x, float* out, std::size_t n, F f) {
  std::size_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) f(V::Load(x + i), i, V::kLanes).Store(out + i);
  if (i < n) StorePart(f(LoadPart<V>(x + i, n - i), i, n - i), out + i, n - i);
}

}  // namespace metier::kernels::body
