#include "tensor/half.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "base/rng.h"

namespace metier::tensor {
namespace {

// The value of an IEEE-like format from its bits, in double, by the definition.
double Value(std::uint16_t bits, int exponent_bits, int fraction_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = (bits >> fraction_bits) & ((1 << exponent_bits) - 1);
  const int fraction = bits & ((1 << fraction_bits) - 1);
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1)
    return fraction != 0 ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
}

struct Format {
  const char* name;
  int exponent_bits;
  int fraction_bits;
  float (*from)(std::uint16_t);
  std::uint16_t (*to)(float);
};

class Half : public ::testing::TestWithParam<Format> {};

TEST_P(Half, EveryPatternMeansWhatTheFormatSaysAndComesBack) {
  const auto& [name, exponent_bits, fraction_bits, from, to] = GetParam();
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const double expected = Value(bits, exponent_bits, fraction_bits);
    const float value = from(bits);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(value)) << name << bits;
      ASSERT_TRUE(std::isnan(from(to(value)))) << name << bits;
      ASSERT_EQ(to(value) & 0x8000, bits & 0x8000) << name << bits;
      continue;
    }
    ASSERT_EQ(static_cast<double>(value), expected) << name << bits;
    ASSERT_EQ(std::signbit(value), (bits & 0x8000) != 0);
    ASSERT_EQ(to(value), bits) << name;
  }
}

// Rounds to nearest even: for a float between two neighbours the nearer one, at the middle the one
// with an even pattern. Neighbours have neighbouring patterns, infinity following the largest.
TEST_P(Half, RoundsToNearestEven) {
  const auto& [name, exponent_bits, fraction_bits, from, to] = GetParam();
  const auto infinity = static_cast<std::uint16_t>(((1 << exponent_bits) - 1) << fraction_bits);
  for (std::uint16_t low = 0; low < infinity; ++low) {
    const double a = Value(low, exponent_bits, fraction_bits);
    double b = Value(static_cast<std::uint16_t>(low + 1), exponent_bits, fraction_bits);
    if (low + 1 == infinity) b = 2 * a - Value(low - 1, exponent_bits, fraction_bits);
    const auto middle = static_cast<float>((a + b) / 2);
    ASSERT_EQ(static_cast<double>(middle), (a + b) / 2) << "the middle is a float";
    const auto high = static_cast<std::uint16_t>(low + 1);
    const std::uint16_t even = low % 2 == 0 ? low : high;
    for (const auto& [value, expected] :
         {std::pair(middle, even), std::pair(std::nextafter(middle, 0.0F), low),
          std::pair(std::nextafter(middle, INFINITY), high)}) {
      ASSERT_EQ(to(value), expected) << name << " " << value;
      ASSERT_EQ(to(-value), expected | 0x8000) << name << " " << -value;
    }
  }
}

TEST_P(Half, RandomFloatsGoToTheNearestNeighbour) {
  const auto& [name, exponent_bits, fraction_bits, from, to] = GetParam();
  Rng rng(5);
  for (int i = 0; i < 200'000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(rng.Next()));
    const std::uint16_t bits = to(value);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(from(bits)));
      continue;
    }
    if (std::isinf(from(bits))) continue;  // its border is in RoundsToNearestEven
    const double distance = std::fabs(static_cast<double>(value) - from(bits));
    for (const int step : {-1, 1}) {
      const auto other = static_cast<std::uint16_t>(bits + step);
      if ((other & 0x8000) != (bits & 0x8000) || !std::isfinite(from(other))) continue;
      ASSERT_LE(distance, std::fabs(static_cast<double>(value) - from(other))) << name << value;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Half,
                         ::testing::Values(Format{"bf16", 8, 7, FromBF16, ToBF16},
                                           Format{"f16", 5, 10, FromF16, ToF16}),
                         [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace metier::tensor
