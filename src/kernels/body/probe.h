// kernels/body/probe.h - the most that arithmetic on registers and reading can do, for speeds to be
// compared with.
#pragma once

#include "kernels/body/lanes.h"

namespace metier::kernels::body {

// Sums that grow beside each other: more than the latency of a multiply-add times the units that
// take one each cycle (4 x 2 on today's cores), and few enough to stay in 16 registers.
constexpr std::size_t kProbeChains = 12;
// A power of two, so that every length of whole lines a reader has is whole rounds.
constexpr std::size_t kReadChains = 8;

template <class V>
std::size_t ProbeF32(std::size_t rounds, float* sink) {
  V sums[kProbeChains];
  METIER_UNROLL
  for (std::size_t c = 0; c < kProbeChains; ++c) sums[c] = V::Set(static_cast<float>(c));
  // Towards 1 from everywhere: never large, never subnormal.
  const V factor = V::Set(sink[0] * 0.5F);
  const V summand = V::Set(0.5F);
  for (std::size_t round = 0; round < rounds; ++round) {
    METIER_UNROLL
    for (std::size_t c = 0; c < kProbeChains; ++c) sums[c] = MulAdd(sums[c], factor, summand);
  }
  V all = V::Zero();
  METIER_UNROLL
  for (std::size_t c = 0; c < kProbeChains; ++c) all = all + sums[c];
  sink[0] = ReduceAdd(all) / static_cast<float>(kProbeChains * V::kLanes);
  return 2 * rounds * kProbeChains * V::kLanes;
}

// The sum of x[n]; n is a multiple of 128. Asks for memory far enough ahead that its
// latency is hidden and no sum waits for another: what is left is what the memory gives.
template <class V>
float ProbeRead(const float* x, std::size_t n) {
  constexpr std::size_t kRound = kReadChains * V::kLanes;
  constexpr std::size_t kLineFloats = 16;
  constexpr std::size_t kAhead = 1024;  // floats, 4 KiB
  V sums[kReadChains];
  METIER_UNROLL
  for (std::size_t c = 0; c < kReadChains; ++c) sums[c] = V::Zero();
  for (std::size_t i = 0; i < n; i += kRound) {
    METIER_UNROLL
    for (std::size_t at = 0; at < kRound; at += kLineFloats)
      __builtin_prefetch(x + i + kAhead + at);
    METIER_UNROLL
    for (std::size_t c = 0; c < kReadChains; ++c)
      sums[c] = sums[c] + V::Load(x + i + c * V::kLanes);
  }
  V all = V::Zero();
  METIER_UNROLL
  for (std::size_t c = 0; c < kReadChains; ++c) all = all + sums[c];
  return ReduceAdd(all);
}

// Each round adds four products of 1 to every lane: sums wrap around after 2^29 rounds.
template <class V>
std::size_t ProbeInt8(std::size_t rounds, float* sink) {
  using Ints = typename V::Ints;
  using Bytes = typename V::Bytes;
  Ints sums[kProbeChains];
  METIER_UNROLL
  for (std::size_t c = 0; c < kProbeChains; ++c) sums[c] = Ints::Set(static_cast<int>(c));
  const Bytes codes = Bytes::Set(1);
  Bytes x = Bytes::Set(1);
  for (std::size_t round = 0; round < rounds; ++round) {
    // Says that x may have changed: or the products, the same in every round, would leave the loop.
    __asm__ volatile("" : "+m"(x));
    METIER_UNROLL
    for (std::size_t c = 0; c < kProbeChains; ++c) sums[c] = DotAdd(sums[c], codes, x);
  }
  V all = V::Zero();
  METIER_UNROLL
  for (std::size_t c = 0; c < kProbeChains; ++c) all = all + V::FromInts(sums[c]);
  sink[0] = ReduceAdd(all) / static_cast<float>(kProbeChains * V::kLanes);
  return 8 * rounds * kProbeChains * V::kLanes;
}

}  // namespace metier::kernels::body
