#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <cstring>
#include <functional>

#include "every_isa.h"
#include "tensor/half.h"

namespace metier::kernels::test {
namespace {

class Products : public EveryIsa {};

TEST_P(Products, DotStaysWithinForwardErrorBound) {
  for (const std::size_t n : {0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 1000}) {
    const std::vector<float> a = Uniform(n, 1);
    const std::vector<float> b = Uniform(n, 2);
    double exact = 0;
    double magnitude = 0;
    for (std::size_t i = 0; i < n; ++i) {
      exact += static_cast<double>(a[i]) * b[i];
      magnitude += std::abs(static_cast<double>(a[i]) * b[i]);
    }
    // n products and additions, each off by at most one unit in the last place (Higham 2002, 3.1).
    const double bound = static_cast<double>(n) * FLT_EPSILON * magnitude;
    EXPECT_NEAR(table().dot(a.data(), b.data(), n), exact, bound) << "n=" << n;
  }
}

// One way in which weights are stored.
struct Storage {
  const char* name;
  void (*KernelTable::*multiply)(const Product&);
  std::size_t bytes;
  std::function<void(float, std::byte*)> store;  // rounds
  std::function<float(const std::byte*)> load;
};

std::vector<Storage> Storages() {
  const auto half = [](auto from, auto to) {
    return std::pair{[from](float value, std::byte* out) {
                       const std::uint16_t bits = from(value);
                       std::memcpy(out, &bits, sizeof(bits));
                     },
                     [to](const std::byte* in) {
                       std::uint16_t bits = 0;
                       std::memcpy(&bits, in, sizeof(bits));
                       return to(bits);
                     }};
  };
  const auto bf16 = half(tensor::ToBF16, tensor::FromBF16);
  const auto f16 = half(tensor::ToF16, tensor::FromF16);
  return {{"f32", &KernelTable::multiply_f32, 4,
           [](float value, std::byte* out) { std::memcpy(out, &value, sizeof(value)); },
           [](const std::byte* in) {
             float value = 0;
             std::memcpy(&value, in, sizeof(value));
             return value;
           }},
          {"bf16", &KernelTable::multiply_bf16, 2, bf16.first, bf16.second},
          {"f16", &KernelTable::multiply_f16, 2, f16.first, f16.second}};
}

struct Shape {
  std::size_t rows, inner, outputs;
};

TEST_P(Products, ProductsMatchDoubleForEveryTileAndTail) {
  for (const Storage& storage : Storages()) {
    for (const Shape& shape : {Shape{1, 1, 1}, Shape{1, 17, 5}, Shape{2, 16, 6}, Shape{3, 33, 7},
                               Shape{4, 8, 12}, Shape{5, 40, 13}, Shape{7, 64, 3}, Shape{9, 3, 19},
                               Shape{11, 20000, 4}}) {  // 20000: several row blocks
      const std::size_t stride = shape.inner + 3;
      const std::vector<float> x = Uniform((shape.rows - 1) * stride + shape.inner, 3);
      const std::vector<float> bias = Uniform(shape.outputs, 4);
      const std::vector<float> values = Uniform(shape.outputs * shape.inner, 5);
      std::vector<std::byte> w(values.size() * storage.bytes);
      for (std::size_t i = 0; i < values.size(); ++i)
        storage.store(values[i], w.data() + i * storage.bytes);
      const std::size_t out_stride = shape.outputs + 2;
      std::vector<float> out((shape.rows - 1) * out_stride + shape.outputs, -99.0F);
      (table().*storage.multiply)({.x = x.data(),
                                   .x_stride = stride,
                                   .w = w.data(),
                                   .bias = bias.data(),
                                   .out = out.data(),
                                   .out_stride = out_stride,
                                   .rows = shape.rows,
                                   .inner = shape.inner,
                                   .outputs = shape.outputs});
      for (std::size_t r = 0; r < shape.rows; ++r) {
        for (std::size_t o = 0; o < shape.outputs; ++o) {
          double exact = bias[o];
          double magnitude = std::abs(exact);
          for (std::size_t i = 0; i < shape.inner; ++i) {
            const double term = static_cast<double>(x[r * stride + i]) *
                                storage.load(w.data() + (o * shape.inner + i) * storage.bytes);
            exact += term;
            magnitude += std::abs(term);
          }
          const double bound = static_cast<double>(shape.inner + 1) * FLT_EPSILON * magnitude;
          ASSERT_NEAR(out[r * out_stride + o], exact, bound)
              << storage.name << " rows=" << shape.rows << " inner=" << shape.inner << " r=" << r
              << " o=" << o;
        }
        for (std::size_t gap = shape.outputs; gap < out_stride; ++gap) {
          const std::size_t at = r * out_stride + gap;
          if (at < out.size()) {
            ASSERT_EQ(out[at], -99.0F) << "wrote between rows";
          }
        }
      }
    }
  }
}

TEST_P(Products, ARowOfAProductDoesNotKnowItsBatch) {
  constexpr std::size_t kRows = 13;
  constexpr std::size_t kInner = 77;
  constexpr std::size_t kOutputs = 23;
  const std::vector<float> x = Uniform(kRows * kInner, 6);
  const std::vector<float> w = Uniform(kOutputs * kInner, 7);
  const auto multiply = [&](std::size_t row, std::size_t rows, std::size_t output,
                            std::size_t outputs) {
    std::vector<float> out(rows * outputs);
    table().multiply_f32({.x = x.data() + row * kInner,
                          .x_stride = kInner,
                          .w = w.data() + output * kInner,
                          .out = out.data(),
                          .out_stride = outputs,
                          .rows = rows,
                          .inner = kInner,
                          .outputs = outputs});
    return out;
  };
  const std::vector<float> all = multiply(0, kRows, 0, kOutputs);
  for (std::size_t row = 0; row < kRows; ++row) {
    for (const std::size_t split : {std::size_t{1}, std::size_t{6}, std::size_t{10}}) {
      std::vector<float> parts = multiply(row, 1, 0, split);
      const std::vector<float> rest = multiply(row, 1, split, kOutputs - split);
      parts.insert(parts.end(), rest.begin(), rest.end());
      const std::vector<float> mine(
          all.begin() + static_cast<std::ptrdiff_t>(row * kOutputs),
          all.begin() + static_cast<std::ptrdiff_t>((row + 1) * kOutputs));
      EXPECT_EQ(parts, mine) << "row " << row << " split " << split;  // every bit
    }
  }
}

METIER_EVERY_ISA(Products);

}  // namespace
}  // namespace metier::kernels::test
