// kernels/isa/avx2.cc - eight lanes: AVX2, FMA and F16C (Haswell, Zen and later).
#include <immintrin.h>

#include "kernels/kernel_table.h"

namespace metier::kernels {
namespace {

struct Bytes32 {
  __m256i v;

  static Bytes32 Load(const std::byte* p) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))};
  }
  void Store(std::byte* p) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  static Bytes32 Set(int x) { return {_mm256_set1_epi8(static_cast<char>(x))}; }
  static Bytes32 Broadcast4(const std::int8_t* p) {
    std::int32_t four = 0;
    __builtin_memcpy(&four, p, sizeof(four));
    return {_mm256_set1_epi32(four)};
  }
  static Bytes32 LookUp(const std::uint8_t* table, Bytes32 index) {
    const __m128i sixteen = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return {_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(sixteen), index.v)};
  }
  template <int kBits>
  static Bytes32 ShiftRight(Bytes32 a) {
    return {_mm256_srli_epi16(a.v, kBits)};
  }
  template <int kBits>
  static Bytes32 ShiftLeft(Bytes32 a) {
    return {_mm256_slli_epi16(a.v, kBits)};
  }
  friend Bytes32 And(Bytes32 a, Bytes32 b) { return {_mm256_and_si256(a.v, b.v)}; }
  friend Bytes32 Or(Bytes32 a, Bytes32 b) { return {_mm256_or_si256(a.v, b.v)}; }
};

struct Ints8 {
  __m256i v;

  static Ints8 Set(std::int32_t x) { return {_mm256_set1_epi32(x)}; }
  void Store(std::int32_t* p) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  template <int kByte>
  Ints8 ByteOfLane() const {
    return {_mm256_and_si256(_mm256_srli_epi32(v, 8 * kByte), _mm256_set1_epi32(255))};
  }
  static Ints8 Of(Bytes32 a) { return {a.v}; }
};

// vpmaddubsw saturates two products at 32767, which codes up to 127 cannot reach.
Ints8 DotAdd(Ints8 sums, Bytes32 codes, Bytes32 x) {
  const __m256i pairs = _mm256_maddubs_epi16(codes.v, x.v);
  return {_mm256_add_epi32(sums.v, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))};
}
// The top bit by itself: worth 128.
Ints8 DotAddWide(Ints8 sums, Bytes32 codes, Bytes32 x) {
  const Bytes32 top = And(Bytes32::ShiftRight<7>(codes), Bytes32::Set(1));
  const __m256i pairs = _mm256_maddubs_epi16(top.v, x.v);
  const __m256i high = _mm256_madd_epi16(pairs, _mm256_set1_epi16(128));
  return DotAdd({_mm256_add_epi32(sums.v, high)}, And(codes, Bytes32::Set(127)), x);
}

struct F32x8 {
  using Bytes = Bytes32;
  using Ints = Ints8;
  static constexpr std::size_t kLanes = 8;
  // 4 x 3 accumulators, 3 weights... the 16 registers hold 12 sums, 3 rows or weights and a spare.
  static constexpr int kTileRows = 4;
  static constexpr int kTileOutputs = 3;
  // 8 or 12 sums, 2 vectors of weights and one of activations.
  static constexpr int kTileVectors = 2;
  static constexpr int kTilePackedRows = 4;
  static constexpr int kTileFloatRows = 6;
  __m256 v;

  static F32x8 Zero() { return {_mm256_setzero_ps()}; }
  static F32x8 Set(float x) { return {_mm256_set1_ps(x)}; }
  static F32x8 Load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static F32x8 LoadBf16(const std::uint16_t* p) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16))};
  }
  static F32x8 LoadF16(const std::uint16_t* p) {
    return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
  }
  void Store(float* p) const { _mm256_storeu_ps(p, v); }
  static F32x8 FromInts(Ints8 x) { return {_mm256_cvtepi32_ps(x.v)}; }
  static __m128i LoadEight(const std::byte* p) {
    return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  }
  static F32x8 LoadU8(const std::byte* p) { return FromInts({_mm256_cvtepu8_epi32(LoadEight(p))}); }
  static F32x8 LoadI8(const std::byte* p) { return FromInts({_mm256_cvtepi8_epi32(LoadEight(p))}); }
  static F32x8 LoadLowNibbles(const std::byte* p) {
    return FromInts({_mm256_and_si256(_mm256_cvtepu8_epi32(LoadEight(p)), _mm256_set1_epi32(15))});
  }
  static F32x8 LoadHighNibbles(const std::byte* p) {
    return FromInts({_mm256_srli_epi32(_mm256_cvtepu8_epi32(LoadEight(p)), 4)});
  }
  void StoreI8(std::int8_t* p) const {
    const __m256i ints = _mm256_cvtps_epi32(v);
    const __m128i shorts =
        _mm_packs_epi32(_mm256_castsi256_si128(ints), _mm256_extracti128_si256(ints, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(shorts, shorts));
  }
  static F32x8 LowBf16(Ints8 x) { return {_mm256_castsi256_ps(_mm256_slli_epi32(x.v, 16))}; }
  static F32x8 HighBf16(Ints8 x) {
    const __m256i high = _mm256_set1_epi32(static_cast<int>(0xffff0000U));
    return {_mm256_castsi256_ps(_mm256_and_si256(x.v, high))};
  }

  friend F32x8 operator+(F32x8 a, F32x8 b) { return {_mm256_add_ps(a.v, b.v)}; }
  friend F32x8 operator-(F32x8 a, F32x8 b) { return {_mm256_sub_ps(a.v, b.v)}; }
  friend F32x8 operator*(F32x8 a, F32x8 b) { return {_mm256_mul_ps(a.v, b.v)}; }
  friend F32x8 operator/(F32x8 a, F32x8 b) { return {_mm256_div_ps(a.v, b.v)}; }
  friend F32x8 MulAdd(F32x8 a, F32x8 b, F32x8 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
  friend F32x8 Max(F32x8 a, F32x8 b) { return {_mm256_max_ps(a.v, b.v)}; }
  friend F32x8 Min(F32x8 a, F32x8 b) { return {_mm256_min_ps(a.v, b.v)}; }
  friend F32x8 SelectGreaterEqual(F32x8 a, F32x8 b, F32x8 x, F32x8 y) {
    return {_mm256_blendv_ps(y.v, x.v, _mm256_cmp_ps(a.v, b.v, _CMP_GE_OQ))};
  }
  friend F32x8 RoundToInteger(F32x8 x) {
    return {_mm256_round_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
  }
  friend F32x8 PowerOfTwo(F32x8 n) {
    const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(biased, 23))};
  }
  friend float ReduceAdd(F32x8 x) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(x.v), _mm256_extractf128_ps(x.v, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
  }
  friend float ReduceMax(F32x8 x) {
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(x.v), _mm256_extractf128_ps(x.v, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
  }
};

}  // namespace
}  // namespace metier::kernels

#include "kernels/body/table.h"

namespace metier::kernels {
extern const KernelTable kAvx2Table;
constinit const KernelTable kAvx2Table = body::TableOf<F32x8>("avx2");
}  // namespace metier::kernels
