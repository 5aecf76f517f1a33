#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>
#include <numeric>

#include "every_isa.h"

namespace metier::kernels::test {
namespace {

class Elementwise : public EveryIsa {};

constexpr std::size_t kLengths[] = {1, 2, 5, 8, 15, 16, 17, 40, 100};

TEST_P(Elementwise, RmsNormMatchesDouble) {
  for (const std::size_t n : kLengths) {
    const std::vector<float> x = Uniform(n, 1);
    const std::vector<float> weight = Uniform(n, 2);
    std::vector<float> out(n);
    table().rms_norm(x.data(), weight.data(), 1e-5F, out.data(), n);
    double mean = 0;
    for (const float value : x) mean += static_cast<double>(value) * value / static_cast<double>(n);
    for (std::size_t i = 0; i < n; ++i) {
      const double exact = x[i] / std::sqrt(mean + static_cast<double>(1e-5F)) * weight[i];
      // The mean is a sum of n positive terms (n ulp, halved by the root); five operations follow.
      EXPECT_NEAR(out[i], exact, (static_cast<double>(n) / 2 + 5) * FLT_EPSILON * std::abs(exact))
          << "n=" << n << " i=" << i;
    }
  }
}

TEST_P(Elementwise, LayerNormMatchesDoubleAlsoFarFromZero) {
  for (const std::size_t n : kLengths) {
    if (n == 1) continue;  // variance 0: the result is the rounding error over sqrt(epsilon)
    for (const double offset : {0.0, 100.0}) {
      std::vector<float> x = Uniform(n, 3);
      for (float& value : x) value = static_cast<float>(value + offset);
      const std::vector<float> weight = Uniform(n, 4);
      const std::vector<float> bias = Uniform(n, 5);
      const auto count = static_cast<double>(n);
      double mean = 0;
      for (const float value : x) mean += value / count;
      double variance = 0;
      for (const float value : x) variance += (value - mean) * (value - mean) / count;
      const double scale = 1 / std::sqrt(variance + static_cast<double>(1e-5F));
      // The mean is off by at most n ulp of |x|; everything after it is relative to the result.
      const double mean_error = count * FLT_EPSILON * (1 + offset);
      for (const bool with_bias : {false, true}) {
        std::vector<float> out(n);
        table().layer_norm(x.data(), weight.data(), with_bias ? bias.data() : nullptr, 1e-5F,
                           out.data(), n);
        for (std::size_t i = 0; i < n; ++i) {
          const double normed = (x[i] - mean) * scale;
          const double exact = normed * weight[i] + (with_bias ? bias[i] : 0);
          const double bound = 2 * mean_error * scale * (1 + normed * normed) +
                               (count + 6) * FLT_EPSILON * (std::abs(normed) + 1);
          EXPECT_NEAR(out[i], exact, bound) << "n=" << n << " i=" << i;
        }
      }
    }
  }
}

TEST_P(Elementwise, RopeTurnsPairsHalfARowApart) {
  for (const std::size_t half : kLengths) {
    std::vector<float> x = Uniform(2 * half, 6);
    const std::vector<float> before = x;
    std::vector<float> cosine(half);
    std::vector<float> sine(half);
    for (std::size_t i = 0; i < half; ++i) {
      cosine[i] = static_cast<float>(std::cos(0.1 * static_cast<double>(i + 1)));
      sine[i] = static_cast<float>(std::sin(0.1 * static_cast<double>(i + 1)));
    }
    table().rope(x.data(), cosine.data(), sine.data(), half);
    for (std::size_t i = 0; i < half; ++i) {
      const double a = before[i];
      const double b = before[half + i];
      EXPECT_NEAR(x[i], a * cosine[i] - b * sine[i], 4 * FLT_EPSILON) << "half=" << half;
      EXPECT_NEAR(x[half + i], b * cosine[i] + a * sine[i], 4 * FLT_EPSILON) << "half=" << half;
    }
  }
}

TEST_P(Elementwise, SoftmaxMatchesDoubleAndSumsToOne) {
  for (const std::size_t n : kLengths) {
    std::vector<float> x = Uniform(n, 7);
    for (float& value : x) value *= 30;
    const std::vector<float> before = x;
    table().softmax(x.data(), n);
    const double max = *std::max_element(before.begin(), before.end());
    double sum = 0;
    for (const float value : before) sum += std::exp(value - max);
    for (std::size_t i = 0; i < n; ++i) {
      const double exact = std::exp(before[i] - max) / sum;
      // x - max is rounded (60 ulp(1) in the exponent), exp to 2 ulp, then a sum of n and a
      // division.
      EXPECT_NEAR(x[i], exact, (static_cast<double>(n) + 64) * FLT_EPSILON * exact + FLT_MIN)
          << "n=" << n << " i=" << i;
    }
  }
}

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double TanhArgument(double x) { return std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x); }

struct ActivationCase {
  const char* name;
  ActivationKernel KernelTable::*kernel;
  double (*exact)(double);
  double (*exponent)(double);  // what the kernel's exp is taken of
  double approximation;        // absolute error of the formula itself, as a factor of |x|
};

// Written so that double does not cancel either: 1 + tanh(u) is 2 sigmoid(2 u), 1 + erf(-z) is
// erfc(z).
constexpr ActivationCase kActivations[] = {
    {"silu", &KernelTable::silu, [](double x) { return x * Sigmoid(x); },
     [](double x) { return x; }, 0},
    {"gelu_erf", &KernelTable::gelu_erf,
     [](double x) { return x * std::erfc(-x / std::sqrt(2.0)) / 2; },
     [](double x) { return x * x / 2; }, 0.75e-7},
    {"gelu_tanh", &KernelTable::gelu_tanh,
     [](double x) { return x * Sigmoid(2 * TanhArgument(x)); },
     [](double x) { return 2 * TanhArgument(x); }, 0},
    {"relu", &KernelTable::relu, [](double x) { return std::max(x, 0.0); },
     [](double) { return 0.0; }, 0},
};

TEST_P(Elementwise, ActivationsMatchTheirFormulas) {
  std::vector<float> x;
  for (float value = -100; value < 100; value += 0.37F) x.push_back(value);
  for (float value = -4; value < 4; value += 0.011F) x.push_back(value);
  for (const float value : {0.0F, -0.0F, 1e-20F, -1e-20F, 1e30F, -1e30F}) x.push_back(value);
  const std::vector<float> up = Uniform(x.size(), 8);
  for (const ActivationCase& activation : kActivations) {
    for (const float* gate : {static_cast<const float*>(nullptr), up.data()}) {
      std::vector<float> out(x.size());
      (table().*activation.kernel)(x.data(), gate, out.data(), x.size());
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double factor = gate == nullptr ? 1 : gate[i];
        const double exact = activation.exact(x[i]) * factor;
        // An exponent e carries a rounding error of up to 4 ulp of itself, which makes the result
        // relative to 4 |e|; beyond 87 exp is cut off, where it is below 2e-38 of x.
        const double exponent = std::min(std::abs(activation.exponent(x[i])), 90.0);
        const double bound = (8 + 4 * exponent) * FLT_EPSILON * std::abs(exact) +
                             (activation.approximation + 2e-38) * std::abs(x[i] * factor) + FLT_MIN;
        EXPECT_NEAR(out[i], exact, bound) << activation.name << " x=" << x[i];
      }
    }
  }
}

TEST_P(Elementwise, AnActivationDoesNotKnowItsPlaceInTheRow) {
  const std::vector<float> x = Uniform(33, 9);
  for (const ActivationCase& activation : kActivations) {
    std::vector<float> all(x.size());
    (table().*activation.kernel)(x.data(), nullptr, all.data(), x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      float alone = 0;
      (table().*activation.kernel)(x.data() + i, nullptr, &alone, 1);
      EXPECT_EQ(alone, all[i]) << activation.name << " " << i;
    }
  }
}

TEST_P(Elementwise, AddScaledAdds) {
  for (const std::size_t n : kLengths) {
    std::vector<float> y = Uniform(n, 10);
    const std::vector<float> before = y;
    const std::vector<float> x = Uniform(n, 11);
    table().add_scaled(y.data(), x.data(), 0.7F, n);
    for (std::size_t i = 0; i < n; ++i) {
      const double exact = before[i] + static_cast<double>(0.7F) * x[i];
      EXPECT_NEAR(y[i], exact, 2 * FLT_EPSILON);
    }
  }
}

TEST_P(Elementwise, ArgmaxTakesTheLowestOfEqualOnes) {
  const float inf = std::numeric_limits<float>::infinity();
  for (const std::size_t n : kLengths) {
    std::vector<float> x = Uniform(n, 12);
    for (std::size_t best = 0; best < n; ++best) {
      std::vector<float> y = x;
      y[best] = 2;
      EXPECT_EQ(table().argmax(y.data(), n), best);
      y[n - 1] = 2;
      EXPECT_EQ(table().argmax(y.data(), n), best);
    }
    std::fill(x.begin(), x.end(), -inf);
    EXPECT_EQ(table().argmax(x.data(), n), 0U);
    std::fill(x.begin(), x.end(), std::nanf(""));
    EXPECT_EQ(table().argmax(x.data(), n), 0U);
    x[n - 1] = -3;
    EXPECT_EQ(table().argmax(x.data(), n), n - 1) << "a NaN won";
  }
}

// Every sum moves half of its way to 1 each round; they start at 0, 1, ..., 11, whose mean is 5.5.
TEST_P(Elementwise, ProbeDoesTheRoundsThatItCounts) {
  const std::size_t one = [&] {
    float sink = 1;
    return table().probe_f32(1, &sink);
  }();
  EXPECT_GE(one, 2U * 12U);
  for (const std::size_t rounds : {0, 1, 2, 7, 100}) {
    float sink = 1;
    EXPECT_EQ(table().probe_f32(rounds, &sink), rounds * one);
    EXPECT_NEAR(sink, 1 + 4.5 * std::pow(0.5, static_cast<double>(rounds)), 12 * FLT_EPSILON)
        << rounds;
  }
}

// Each round adds four products of 1 to every sum.
TEST_P(Elementwise, ProbeOfBytesDoesTheRoundsThatItCounts) {
  float sink = 1;
  const std::size_t one = table().probe_int8(1, &sink);
  EXPECT_GE(one, 8U * 12U);
  for (const std::size_t rounds : {0, 1, 2, 7, 100}) {
    EXPECT_EQ(table().probe_int8(rounds, &sink), rounds * one);
    EXPECT_EQ(sink, 5.5F + 4 * static_cast<float>(rounds));
  }
}

TEST_P(Elementwise, TheReadingProbeReadsEveryNumberOnce) {
  for (const std::size_t n : {0U, 128U, 256U, 1280U}) {
    std::vector<float> x(n);
    std::iota(x.begin(), x.end(), 1.0F);  // sums stay below 2^24: exact in any order
    EXPECT_EQ(table().probe_read(x.data(), n), static_cast<float>(n * (n + 1) / 2));
  }
}

METIER_EVERY_ISA(Elementwise);

}  // namespace
}  // namespace metier::kernels::test
