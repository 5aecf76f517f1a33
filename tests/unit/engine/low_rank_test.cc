#include "engine/low_rank.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <span>
#include <vector>

#include "../kernels/every_isa.h"
#include "engine/compute.h"
#include "tensor/half.h"

namespace metier::engine {
namespace {

using kernels::test::Uniform;
using tensor::DType;

tensor::Tensor RandomFactor(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  tensor::Tensor factor(DType::kF32, {rows, columns});
  const std::vector<float> values = Uniform(factor.f32().size(), seed);
  std::copy(values.begin(), values.end(), factor.f32().begin());
  return factor;
}

struct Case {
  std::int64_t rank;
  std::int64_t in;
  std::int64_t out;
  std::size_t rows;
};

// A strip and less, several, inner dimensions that end inside the chains, panels that end inside a
// vector, rows that fill tiles and tasks and those that do not.
constexpr Case kCases[] = {{16, 64, 64, 1},  {1, 5, 3, 2},      {8, 31, 100, 5},
                           {17, 66, 640, 4}, {40, 130, 65, 33}, {16, 7, 1100, 70}};

class LowRankChanges : public kernels::test::EveryIsa {
 protected:
  static model::LoraDelta DeltaOf(const Case& c, std::uint64_t seed) {
    return {.linear = "head",
            .a = RandomFactor(c.rank, c.in, seed),
            .b = RandomFactor(c.out, c.rank, seed + 1),
            .scale = 0.75};
  }
  std::vector<float> Added(const LowRank& change, const std::vector<float>& x, std::size_t rows,
                           std::vector<float> out, int threads) {
    Compute compute(table(), threads, Arithmetic::kExact);
    const LowRankProduct product{.change = &change, .x = x.data(), .rows = rows, .out = out.data()};
    compute.AddLowRank({&product, 1});
    return out;
  }
};

TEST_P(LowRankChanges, StayWithinForwardErrorBound) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const auto stored = [&](float value) {
      return dtype == DType::kF32 ? value : tensor::FromBF16(tensor::ToBF16(value));
    };
    for (const Case& c : kCases) {
      const model::LoraDelta delta = DeltaOf(c, 3);
      const LowRank change = LowRank::Pack(delta, dtype);
      const auto in = static_cast<std::size_t>(c.in);
      const auto outs = static_cast<std::size_t>(c.out);
      const auto rank = static_cast<std::size_t>(c.rank);
      const std::vector<float> x = Uniform(c.rows * in, 5);
      const std::vector<float> before = Uniform(c.rows * outs, 6);
      const std::vector<float> after = Added(change, x, c.rows, before, 2);
      for (std::size_t r = 0; r < c.rows; ++r) {
        for (std::size_t o = 0; o < outs; ++o) {
          double exact = 0;
          double magnitude = 0;
          for (std::size_t k = 0; k < rank; ++k) {
            double low = 0;
            double low_magnitude = 0;
            for (std::size_t i = 0; i < in; ++i) {
              const double term =
                  static_cast<double>(stored(delta.a.f32()[k * in + i])) * x[r * in + i];
              low += term;
              low_magnitude += std::abs(term);
            }
            const double b = stored(delta.b.f32()[o * rank + k]);
            exact += b * low;
            magnitude += std::abs(b) * low_magnitude;
          }
          const double value = before[r * outs + o] + delta.scale * exact;
          // A chain of in terms, one of rank terms, and the scaled sum that is added.
          const double bound = static_cast<double>(in + rank + 2) * FLT_EPSILON *
                               (delta.scale * magnitude + std::abs(before[r * outs + o]));
          ASSERT_NEAR(after[r * outs + o], value, bound)
              << "rank " << c.rank << " [" << c.out << ", " << c.in << "] row " << r << " output "
              << o;
        }
      }
    }
  }
}

TEST_P(LowRankChanges, HaveTheSameBitsAloneAndTogetherOnAnyThreads) {
  for (const Case& c : kCases) {
    const LowRank change = LowRank::Pack(DeltaOf(c, 7), DType::kBF16);
    const LowRank other = LowRank::Pack(DeltaOf(c, 9), DType::kF32);
    const auto in = static_cast<std::size_t>(c.in);
    const auto outs = static_cast<std::size_t>(c.out);
    const std::vector<float> x = Uniform(c.rows * in, 8);
    const std::vector<float> before = Uniform(c.rows * outs, 9);
    std::vector<float> together = before;
    std::vector<float> others = before;
    Compute compute(table(), 2, Arithmetic::kFast);
    const LowRankProduct both[] = {
        {.change = &change, .x = x.data(), .rows = c.rows, .out = together.data()},
        {.change = &other, .x = x.data(), .rows = c.rows, .out = others.data()}};
    compute.AddLowRank(both);
    EXPECT_EQ(together, Added(change, x, c.rows, before, 1));
    EXPECT_EQ(others, Added(other, x, c.rows, before, 1));
    EXPECT_NE(together, others);
    for (std::size_t r = 0; r < c.rows; ++r) {
      const auto part = [](const std::vector<float>& rows, std::size_t row, std::size_t width) {
        const auto begin = rows.begin() + static_cast<std::ptrdiff_t>(row * width);
        return std::vector<float>(begin, begin + static_cast<std::ptrdiff_t>(width));
      };
      ASSERT_EQ(Added(change, part(x, r, in), 1, part(before, r, outs), 1), part(together, r, outs))
          << "row " << r;
    }
  }
}

METIER_EVERY_ISA(LowRankChanges);

}  // namespace
}  // namespace metier::engine
