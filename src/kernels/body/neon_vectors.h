// kernels/body/neon_vectors.h - four lanes: what the units of AArch64 share. Included by them only,
// first.
#pragma once

#include <arm_neon.h>

#include "kernels/kernel_table.h"

namespace metier::kernels {
namespace {

struct Bytes16 {
  uint8x16_t v;

  static Bytes16 Load(const std::byte* p) {
    return {vld1q_u8(reinterpret_cast<const std::uint8_t*>(p))};
  }
  void Store(std::byte* p) const { vst1q_u8(reinterpret_cast<std::uint8_t*>(p), v); }
  static Bytes16 Set(int x) { return {vdupq_n_u8(static_cast<std::uint8_t>(x))}; }
  static Bytes16 Broadcast4(const std::int8_t* p) {
    std::uint32_t four = 0;
    __builtin_memcpy(&four, p, sizeof(four));
    return {vreinterpretq_u8_u32(vdupq_n_u32(four))};
  }
  static Bytes16 LookUp(const std::uint8_t* table, Bytes16 index) {
    return {vqtbl1q_u8(vld1q_u8(table), index.v)};
  }
  template <int kBits>
  static Bytes16 ShiftRight(Bytes16 a) {
    return {vreinterpretq_u8_u16(vreinterpretq_u16_u8(a.v) >> kBits)};
  }
  template <int kBits>
  static Bytes16 ShiftLeft(Bytes16 a) {
    return {vreinterpretq_u8_u16(vreinterpretq_u16_u8(a.v) << kBits)};
  }
  friend Bytes16 And(Bytes16 a, Bytes16 b) { return {vandq_u8(a.v, b.v)}; }
  friend Bytes16 Or(Bytes16 a, Bytes16 b) { return {vorrq_u8(a.v, b.v)}; }
};

struct Ints4 {
  int32x4_t v;

  static Ints4 Set(std::int32_t x) { return {vdupq_n_s32(x)}; }
  void Store(std::int32_t* p) const { vst1q_s32(p, v); }
  template <int kByte>
  Ints4 ByteOfLane() const {
    const uint32x4_t shifted = vreinterpretq_u32_s32(v) >> (8 * kByte);
    return {vreinterpretq_s32_u32(vandq_u32(shifted, vdupq_n_u32(255)))};
  }
  static Ints4 Of(Bytes16 a) { return {vreinterpretq_s32_u8(a.v)}; }
};

// Codes up to 127 are the same number signed. Without the instruction, products of 16 bits are
// added in pairs, and pairs of pairs: each lane's four.
Ints4 DotAdd(Ints4 sums, Bytes16 codes, Bytes16 x) {
  const int8x16_t c = vreinterpretq_s8_u8(codes.v);
  const int8x16_t s = vreinterpretq_s8_u8(x.v);
#ifdef __ARM_FEATURE_DOTPROD
  return {vdotq_s32(sums.v, c, s)};
#else
  const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(c), vget_low_s8(s)));
  const int32x4_t high = vpaddlq_s16(vmull_high_s8(c, s));
  return {vaddq_s32(sums.v, vpaddq_s32(low, high))};
#endif
}
// The top bit by itself: worth 128.
Ints4 DotAddWide(Ints4 sums, Bytes16 codes, Bytes16 x) {
  const Ints4 high = DotAdd(Ints4::Set(0), {vshrq_n_u8(codes.v, 7)}, x);
  return DotAdd({vaddq_s32(sums.v, vshlq_n_s32(high.v, 7))}, And(codes, Bytes16::Set(127)), x);
}

struct F32x4 {
  using Bytes = Bytes16;
  using Ints = Ints4;
  static constexpr std::size_t kLanes = 4;
  // 24 sums, 4 rows and a weight in 32 registers.
  static constexpr int kTileRows = 4;
  static constexpr int kTileOutputs = 6;
  // 16 or 24 sums, 4 vectors of weights and one of activations.
  static constexpr int kTileVectors = 4;
  static constexpr int kTilePackedRows = 4;
  static constexpr int kTileFloatRows = 6;
  float32x4_t v;

  static F32x4 Zero() { return {vdupq_n_f32(0)}; }
  static F32x4 Set(float x) { return {vdupq_n_f32(x)}; }
  static F32x4 Load(const float* p) { return {vld1q_f32(p)}; }
  static F32x4 LoadBf16(const std::uint16_t* p) {
    return {vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16))};
  }
  static F32x4 LoadF16(const std::uint16_t* p) {
    return {vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)))};
  }
  void Store(float* p) const { vst1q_f32(p, v); }
  static F32x4 FromInts(Ints4 x) { return {vcvtq_f32_s32(x.v)}; }
  static uint32x4_t LoadFour(const std::byte* p) {
    std::uint32_t four = 0;
    __builtin_memcpy(&four, p, sizeof(four));
    return vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(four))));
  }
  static F32x4 LoadU8(const std::byte* p) { return {vcvtq_f32_u32(LoadFour(p))}; }
  static F32x4 LoadI8(const std::byte* p) {
    const int32x4_t ints = vreinterpretq_s32_u32(LoadFour(p));
    return FromInts({vshrq_n_s32(vshlq_n_s32(ints, 24), 24)});
  }
  static F32x4 LoadLowNibbles(const std::byte* p) {
    return {vcvtq_f32_u32(vandq_u32(LoadFour(p), vdupq_n_u32(15)))};
  }
  static F32x4 LoadHighNibbles(const std::byte* p) {
    return {vcvtq_f32_u32(vshrq_n_u32(LoadFour(p), 4))};
  }
  void StoreI8(std::int8_t* p) const {
    const int16x4_t shorts = vqmovn_s32(vcvtnq_s32_f32(v));
    const int8x8_t bytes = vqmovn_s16(vcombine_s16(shorts, shorts));
    const std::int32_t four = vget_lane_s32(vreinterpret_s32_s8(bytes), 0);
    __builtin_memcpy(p, &four, sizeof(four));
  }
  static F32x4 LowBf16(Ints4 x) { return {vreinterpretq_f32_s32(vshlq_n_s32(x.v, 16))}; }
  static F32x4 HighBf16(Ints4 x) {
    const uint32x4_t high = vandq_u32(vreinterpretq_u32_s32(x.v), vdupq_n_u32(0xffff0000U));
    return {vreinterpretq_f32_u32(high)};
  }

  friend F32x4 operator+(F32x4 a, F32x4 b) { return {vaddq_f32(a.v, b.v)}; }
  friend F32x4 operator-(F32x4 a, F32x4 b) { return {vsubq_f32(a.v, b.v)}; }
  friend F32x4 operator*(F32x4 a, F32x4 b) { return {vmulq_f32(a.v, b.v)}; }
  friend F32x4 operator/(F32x4 a, F32x4 b) { return {vdivq_f32(a.v, b.v)}; }
  friend F32x4 MulAdd(F32x4 a, F32x4 b, F32x4 c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
  // b where one of them is not a number, as on the other sets: vmaxq_f32 would keep it.
  friend F32x4 Max(F32x4 a, F32x4 b) { return {vbslq_f32(vcgtq_f32(a.v, b.v), a.v, b.v)}; }
  friend F32x4 Min(F32x4 a, F32x4 b) { return {vbslq_f32(vcltq_f32(a.v, b.v), a.v, b.v)}; }
  friend F32x4 SelectGreaterEqual(F32x4 a, F32x4 b, F32x4 x, F32x4 y) {
    return {vbslq_f32(vcgeq_f32(a.v, b.v), x.v, y.v)};
  }
  friend F32x4 RoundToInteger(F32x4 x) { return {vrndnq_f32(x.v)}; }
  friend F32x4 PowerOfTwo(F32x4 n) {
    const int32x4_t biased = vaddq_s32(vcvtnq_s32_f32(n.v), vdupq_n_s32(127));
    return {vreinterpretq_f32_s32(vshlq_n_s32(biased, 23))};
  }
  friend float ReduceAdd(F32x4 x) { return vaddvq_f32(x.v); }
  friend float ReduceMax(F32x4 x) { return vmaxnmvq_f32(x.v); }
};

}  // namespace
}  // namespace metier::kernels
