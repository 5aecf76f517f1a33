// kernels/body/avx512_vectors.h - sixteen lanes: what the units of AVX-512 share. Included by them
// only, first.
#pragma once

#include <immintrin.h>

#include "kernels/kernel_table.h"

namespace metier::kernels {
namespace {

struct Bytes64 {
  __m512i v;

  static Bytes64 Load(const std::byte* p) { return {_mm512_loadu_si512(p)}; }
  void Store(std::byte* p) const { _mm512_storeu_si512(p, v); }
  static Bytes64 Set(int x) { return {_mm512_set1_epi8(static_cast<char>(x))}; }
  static Bytes64 Broadcast4(const std::int8_t* p) {
    std::int32_t four = 0;
    __builtin_memcpy(&four, p, sizeof(four));
    return {_mm512_set1_epi32(four)};
  }
  static Bytes64 LookUp(const std::uint8_t* table, Bytes64 index) {
    const __m128i sixteen = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return {_mm512_shuffle_epi8(_mm512_broadcast_i32x4(sixteen), index.v)};
  }
  template <int kBits>
  static Bytes64 ShiftRight(Bytes64 a) {
    return {_mm512_srli_epi16(a.v, kBits)};
  }
  template <int kBits>
  static Bytes64 ShiftLeft(Bytes64 a) {
    return {_mm512_slli_epi16(a.v, kBits)};
  }
  friend Bytes64 And(Bytes64 a, Bytes64 b) { return {_mm512_and_si512(a.v, b.v)}; }
  friend Bytes64 Or(Bytes64 a, Bytes64 b) { return {_mm512_or_si512(a.v, b.v)}; }
};

struct Ints16 {
  __m512i v;

  static Ints16 Set(std::int32_t x) { return {_mm512_set1_epi32(x)}; }
  void Store(std::int32_t* p) const { _mm512_storeu_si512(p, v); }
  template <int kByte>
  Ints16 ByteOfLane() const {
    return {_mm512_and_si512(_mm512_srli_epi32(v, 8 * kByte), _mm512_set1_epi32(255))};
  }
  static Ints16 Of(Bytes64 a) { return {a.v}; }
  // In assembly, because GCC 12 copies the sums of the intrinsic from register to register.
  friend Ints16 DotAdd(Ints16 sums, Bytes64 codes, Bytes64 x) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sums.v) : "v"(codes.v), "v"(x.v));
    return sums;
  }
  friend Ints16 DotAddWide(Ints16 sums, Bytes64 codes, Bytes64 x) { return DotAdd(sums, codes, x); }
};

struct F32x16 {
  using Bytes = Bytes64;
  using Ints = Ints16;
  static constexpr std::size_t kLanes = 16;
  // 24 sums, 4 rows and a weight in 32 registers.
  static constexpr int kTileRows = 4;
  static constexpr int kTileOutputs = 6;
  // 16 or 24 sums, 4 vectors of weights and one of activations.
  static constexpr int kTileVectors = 4;
  static constexpr int kTilePackedRows = 4;
  static constexpr int kTileFloatRows = 6;
  __m512 v;

  static F32x16 Zero() { return {_mm512_setzero_ps()}; }
  static F32x16 Set(float x) { return {_mm512_set1_ps(x)}; }
  static F32x16 Load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static F32x16 LoadBf16(const std::uint16_t* p) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16))};
  }
  static F32x16 LoadF16(const std::uint16_t* p) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
  }
  void Store(float* p) const { _mm512_storeu_ps(p, v); }
  static F32x16 FromInts(Ints16 x) { return {_mm512_cvtepi32_ps(x.v)}; }
  static F32x16 LoadU8(const std::byte* p) {
    return FromInts({_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))});
  }
  static F32x16 LoadI8(const std::byte* p) {
    return FromInts({_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))});
  }
  static F32x16 LoadLowNibbles(const std::byte* p) {
    const __m512i both = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return FromInts({_mm512_and_si512(both, _mm512_set1_epi32(15))});
  }
  static F32x16 LoadHighNibbles(const std::byte* p) {
    const __m512i both = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return FromInts({_mm512_srli_epi32(both, 4)});
  }
  void StoreI8(std::int8_t* p) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
  }
  static F32x16 LowBf16(Ints16 x) { return {_mm512_castsi512_ps(_mm512_slli_epi32(x.v, 16))}; }
  static F32x16 HighBf16(Ints16 x) {
    const __m512i high = _mm512_set1_epi32(static_cast<int>(0xffff0000U));
    return {_mm512_castsi512_ps(_mm512_and_si512(x.v, high))};
  }

  friend F32x16 operator+(F32x16 a, F32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
  friend F32x16 operator-(F32x16 a, F32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
  friend F32x16 operator*(F32x16 a, F32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
  friend F32x16 operator/(F32x16 a, F32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
  friend F32x16 MulAdd(F32x16 a, F32x16 b, F32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
  friend F32x16 Max(F32x16 a, F32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
  friend F32x16 Min(F32x16 a, F32x16 b) { return {_mm512_min_ps(a.v, b.v)}; }
  friend F32x16 SelectGreaterEqual(F32x16 a, F32x16 b, F32x16 x, F32x16 y) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ), y.v, x.v)};
  }
  friend F32x16 RoundToInteger(F32x16 x) {
    return {_mm512_roundscale_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
  }
  friend F32x16 PowerOfTwo(F32x16 n) {
    const __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(biased, 23))};
  }
  friend __m256 LowHalf(F32x16 x) { return _mm512_castps512_ps256(x.v); }
  friend __m256 HighHalf(F32x16 x) { return _mm512_extractf32x8_ps(x.v, 1); }
  friend float ReduceAdd(F32x16 x) {
    const __m256 eight = _mm256_add_ps(LowHalf(x), HighHalf(x));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
  }
  friend float ReduceMax(F32x16 x) {
    const __m256 eight = _mm256_max_ps(LowHalf(x), HighHalf(x));
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
  }
};

}  // namespace
}  // namespace metier::kernels
