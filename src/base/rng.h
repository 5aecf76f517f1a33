// base/rng.h - random numbers that are the same on every machine, for every (seed, stream).
//
// xoshiro256** (Blackman and Vigna 2018), seeded through SplitMix64 as its authors advise. The
// standard library's distributions differ between implementations, so the few that we need stand
// here.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace metier {

// GCC and clang spell the 128-bit integer in their own way; __extension__ keeps -Wpedantic quiet
// about it.
__extension__ using UInt128 = unsigned __int128;

class Rng {
 public:
  using State = std::array<std::uint64_t, 4>;

  // Streams of one seed are independent: use one per request, document or worker, never one shared
  // by threads. Stream 0 is the authors' own seeding; the others start at places of SplitMix64's
  // cycle that lie far apart (Mix is a bijection, and scatters neighbours).
  explicit Rng(std::uint64_t seed, std::uint64_t stream = 0) {
    std::uint64_t x = seed ^ Mix(stream);
    for (std::uint64_t& word : state_) {
      x += 0x9e3779b97f4a7c15ULL;
      word = Mix(x);
    }
  }
  explicit Rng(const State& state) : state_(state) {}

  std::uint64_t Next() {
    const std::uint64_t result = Rotate(state_[1] * 5, 7) * 9;
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = Rotate(state_[3], 45);
    return result;
  }

  // Uniform in [0, 1) with 53 bits.
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

  // Uniform in [0, n), without bias (Lemire 2019). Requires n > 0.
  std::uint64_t Below(std::uint64_t n) {
    auto product = static_cast<UInt128>(Next()) * n;
    if (static_cast<std::uint64_t>(product) < n) {
      const std::uint64_t threshold = (0 - n) % n;
      while (static_cast<std::uint64_t>(product) < threshold)
        product = static_cast<UInt128>(Next()) * n;
    }
    return static_cast<std::uint64_t>(product >> 64);
  }

  // Standard normal (Box-Muller, one value a call so that the state alone determines what comes
  // next).
  double Normal() {
    const double u = 1.0 - Uniform();
    const double v = Uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * 3.14159265358979323846 * v);
  }

  const State& state() const { return state_; }

 private:
  // SplitMix64's output function (Steele, Lea and Flood 2014, variant 13 of Stafford); 0 stays 0.
  static std::uint64_t Mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

  static std::uint64_t Rotate(std::uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

  State state_{};
};

}  // namespace metier
