#include "engine/low_rank.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "../kernels/every_isa.h"
#include "engine/compute.h"
#include "tensor/half.h"

namespace metier::engine {
namespace {

using kernels::FactorType;
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

// A change that owns its factors.
struct Factors {
  tensor::Tensor bytes;
};
struct PackedChange : Factors, LowRank {
  PackedChange(const model::LoraDelta& delta, FactorType factors)
      : Factors{tensor::Tensor(DType::kU8,
                               {static_cast<std::int64_t>(LowRank::Bytes(delta, factors))})},
        LowRank(Pack(delta, factors, bytes.bytes())) {}
  PackedChange(const PackedChange&) = delete;
  PackedChange& operator=(const PackedChange&) = delete;
};

// A base that leaves the change alone.
struct ZeroMatrix {
  explicit ZeroMatrix(const LowRank& change)
      : zeros(change.in * change.out),
        w({.dtype = DType::kF32,
           .rows = static_cast<std::int64_t>(change.out),
           .columns = static_cast<std::int64_t>(change.in),
           .data = std::as_bytes(std::span(zeros)).data(),
           .row_bytes = change.in * sizeof(float)}) {}
  std::vector<float> zeros;
  Matrix w;
};

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
    const RowChange all{.change = &change, .begin = 0, .end = rows};
    const ZeroMatrix zero(change);
    const Product product{.w = &zero.w, .out = out.data(), .add = true, .changes = {&all, 1}};
    compute.Multiply({&product, 1}, x.data(), rows);
    return out;
  }
};

// What a factor is worth in bytes, a step for each `block` columns of a row.
std::vector<double> Stored(const tensor::Tensor& factor, FactorType type, std::size_t block,
                           bool bf16_steps) {
  const std::span<const float> values = factor.f32();
  std::vector<double> stored(values.begin(), values.end());
  if (type == FactorType::kF32) return stored;
  const auto columns = static_cast<std::size_t>(factor.shape()[1]);
  for (std::size_t row = 0; row < values.size(); row += columns) {
    for (std::size_t begin = 0; begin < columns; begin += block) {
      const auto part = values.subspan(row + begin, std::min(block, columns - begin));
      float step = 0;
      for (const float value : part) step = std::max(step, std::abs(value) / 127.0F);
      if (bf16_steps) step = tensor::FromBF16(tensor::ToBF16(step));
      for (std::size_t i = 0; i < part.size(); ++i) {
        const double code = std::clamp(std::nearbyint(part[i] / step), -127.0F, 127.0F);
        stored[row + begin + i] = code * step;
      }
    }
  }
  return stored;
}

TEST_P(LowRankChanges, StayWithinForwardErrorBound) {
  for (const FactorType type : {FactorType::kF32, FactorType::kInt8}) {
    for (const Case& c : kCases) {
      const model::LoraDelta delta = DeltaOf(c, 3);
      const PackedChange change(delta, type);
      const auto in = static_cast<std::size_t>(c.in);
      const auto outs = static_cast<std::size_t>(c.out);
      const auto rank = static_cast<std::size_t>(c.rank);
      const std::vector<double> a = Stored(delta.a, type, 128, false);
      const std::vector<double> b = Stored(delta.b, type, rank, true);
      const std::vector<float> x = Uniform(c.rows * in, 5);
      const std::vector<float> before = Uniform(c.rows * outs, 6);
      const std::vector<float> after = Added(change, x, c.rows, before, 2);
      for (std::size_t r = 0; r < c.rows; ++r) {
        std::vector<double> low(rank);
        std::vector<double> low_magnitude(rank);
        double digit = 0;  // half a step of two digits of 7 bits
        for (std::size_t k = 0; k < rank; ++k) {
          for (std::size_t i = 0; i < in; ++i) {
            const double term = a[k * in + i] * x[r * in + i];
            low[k] += term;
            low_magnitude[k] += std::abs(term);
          }
          if (type == FactorType::kInt8) digit = std::max(digit, std::abs(low[k]) * 0x1p-14);
        }
        for (std::size_t o = 0; o < outs; ++o) {
          double exact = 0;
          double magnitude = 0;
          double rounding = 0;
          for (std::size_t k = 0; k < rank; ++k) {
            const double weight = b[o * rank + k];
            exact += weight * low[k];
            magnitude += std::abs(weight) * low_magnitude[k];
            rounding += std::abs(weight) * digit;
          }
          const double value = before[r * outs + o] + delta.scale * exact;
          // A chain of in terms, one of rank terms, and the scaled sum that is added.
          const double bound = static_cast<double>(in + rank + 6) * FLT_EPSILON *
                                   (delta.scale * magnitude + std::abs(before[r * outs + o])) +
                               delta.scale * rounding;
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
    const PackedChange change(DeltaOf(c, 7), FactorType::kInt8);
    const PackedChange other(DeltaOf(c, 9), FactorType::kF32);
    const auto in = static_cast<std::size_t>(c.in);
    const auto outs = static_cast<std::size_t>(c.out);
    const std::vector<float> x = Uniform(c.rows * in, 8);
    const std::vector<float> before = Uniform(c.rows * outs, 9);
    std::vector<float> together = before;
    std::vector<float> others = before;
    Compute compute(table(), 2, Arithmetic::kFast);
    const RowChange changes[] = {{.change = &change, .begin = 0, .end = c.rows},
                                 {.change = &other, .begin = 0, .end = c.rows}};
    const ZeroMatrix zero(change);
    const std::span all(changes);
    const Product both[] = {
        {.w = &zero.w, .out = together.data(), .add = true, .changes = all.first(1)},
        {.w = &zero.w, .out = others.data(), .add = true, .changes = all.last(1)}};
    compute.Multiply(both, x.data(), c.rows);
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

TEST_P(LowRankChanges, HideNothingThatIsNotFiniteAndTakeWhatIsTiny) {
  const Case c = kCases[3];
  const auto in = static_cast<std::size_t>(c.in);
  const std::vector<float> before(static_cast<std::size_t>(c.out), 1.0F);
  const std::vector<float> ones(in, 1.0F);
  for (const FactorType type : {FactorType::kF32, FactorType::kInt8}) {
    const PackedChange change(DeltaOf(c, 3), type);
    for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
      std::vector<float> x = ones;
      x[in / 2] = bad;
      for (const float value : Added(change, x, 1, before, 1)) EXPECT_FALSE(std::isfinite(value));
      model::LoraDelta broken_a = DeltaOf(c, 3);
      broken_a.a.f32()[in / 2] = bad;
      model::LoraDelta broken_b = DeltaOf(c, 3);
      broken_b.b.f32()[0] = bad;
      EXPECT_FALSE(std::isfinite(Added(PackedChange(broken_a, type), ones, 1, before, 1)[0]));
      EXPECT_FALSE(std::isfinite(Added(PackedChange(broken_b, type), ones, 1, before, 1)[0]));
    }
    for (const float tiny : {0.0F, 1e-40F, 2e-38F, 1e-36F}) {
      EXPECT_EQ(Added(change, std::vector<float>(in, tiny), 1, before, 1), before) << tiny;
      model::LoraDelta small = DeltaOf(c, 3);
      for (float& value : small.a.f32()) value = tiny;
      for (float& value : small.b.f32()) value = tiny;
      EXPECT_EQ(Added(PackedChange(small, type), ones, 1, before, 1), before) << tiny;
    }
  }
}

METIER_EVERY_ISA(LowRankChanges);

}  // namespace
}  // namespace metier::engine
