#include "base/rng.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <set>
#include <vector>

namespace metier {
namespace {

// Outputs of the authors' xoshiro256starstar.c from the state {1, 2, 3, 4}.
TEST(Rng, IsXoshiro256StarStar) {
  Rng rng(Rng::State{1, 2, 3, 4});
  for (const std::uint64_t expected :
       {11520ULL, 0ULL, 1509978240ULL, 1215971899390074240ULL, 1216172134540287360ULL,
        607988272756665600ULL, 16172922978634559625ULL, 8476171486693032832ULL,
        10595114339597558777ULL, 2904607092377533576ULL}) {
    EXPECT_EQ(rng.Next(), expected);
  }
}

// Outputs of the authors' splitmix64.c from 0, and what xoshiro256** makes of them.
TEST(Rng, StreamZeroIsTheAuthorsSeeding) {
  Rng rng(0);
  EXPECT_EQ(rng.state(), (Rng::State{0xe220a8397b1dcdafULL, 0x6e789e6aa1b965f4ULL,
                                     0x06c45d188009454fULL, 0xf88bb8a8724c81ecULL}));
  EXPECT_EQ(rng.Next(), 0x99ec5f36cb75f2b4ULL);
  EXPECT_EQ(rng.Next(), 0xbf6e1f784956452aULL);
}

TEST(Rng, StateResumes) {
  Rng rng(7, 3);
  for (int i = 0; i < 10; ++i) rng.Next();
  Rng resumed(rng.state());
  for (int i = 0; i < 10; ++i) EXPECT_EQ(resumed.Next(), rng.Next());
}

// No word of a state occurs in another one: neighbouring seeds and streams share nothing.
TEST(Rng, SeedsAndStreamsDoNotOverlap) {
  std::set<std::uint64_t> words;
  std::size_t states = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    for (std::uint64_t stream = 0; stream < 50; ++stream, ++states) {
      const Rng rng(seed, stream);
      words.insert(rng.state().begin(), rng.state().end());
    }
  }
  EXPECT_EQ(words.size(), 4 * states);
}

// Bits of one stream predict nothing of the next: among n equal-or-not bits the count is binomial,
// six standard deviations from n / 2 are never seen by chance.
TEST(Rng, StreamsAreUncorrelated) {
  constexpr int kWords = 10'000;
  for (std::uint64_t stream = 0; stream < 8; ++stream) {
    Rng a(1, stream);
    Rng b(1, stream + 1);
    std::int64_t equal = 0;
    for (int i = 0; i < kWords; ++i) equal += 64 - std::popcount(a.Next() ^ b.Next());
    const double n = 64.0 * kWords;
    EXPECT_NEAR(static_cast<double>(equal), n / 2, 6 * std::sqrt(n) / 2) << stream;
  }
}

TEST(Rng, UniformFillsTheUnitInterval) {
  Rng rng(11);
  constexpr int kCells = 64;
  constexpr int kDraws = 64'000;
  std::vector<int> cells(kCells);
  for (int i = 0; i < kDraws; ++i) {
    const double x = rng.Uniform();
    ASSERT_GE(x, 0.0);
    ASSERT_LT(x, 1.0);
    ++cells[static_cast<std::size_t>(x * kCells)];
  }
  // Chi-squared with 63 degrees of freedom: mean 63, variance 126.
  double chi = 0;
  const double expected = static_cast<double>(kDraws) / kCells;
  for (const int count : cells) chi += (count - expected) * (count - expected) / expected;
  EXPECT_NEAR(chi, kCells - 1, 6 * std::sqrt(2.0 * (kCells - 1)));
}

TEST(Rng, BelowIsUnbiasedAlsoWhereModuloIsNot) {
  // With n = 3 * 2^62 a plain product or remainder would give the first third twice as often.
  constexpr std::uint64_t kN = 3ULL << 62;
  Rng rng(12);
  std::vector<int> thirds(3);
  constexpr int kDraws = 30'000;
  for (int i = 0; i < kDraws; ++i) {
    const std::uint64_t x = rng.Below(kN);
    ASSERT_LT(x, kN);
    ++thirds[x >> 62];
  }
  const double deviation = std::sqrt(kDraws * (1.0 / 3) * (2.0 / 3));
  for (const int count : thirds) EXPECT_NEAR(count, kDraws / 3.0, 6 * deviation);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(rng.Below(1), 0U);
}

TEST(Rng, NormalHasItsMoments) {
  Rng rng(13);
  constexpr int kDraws = 100'000;
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = rng.Normal();
    ASSERT_TRUE(std::isfinite(x));
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0, 6 / std::sqrt(kDraws));
  EXPECT_NEAR(squares / kDraws, 1, 6 * std::sqrt(2.0 / kDraws));
}

}  // namespace
}  // namespace metier
