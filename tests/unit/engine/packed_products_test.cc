// Packed weights on every instruction set: worth what the stored ones are, to the bit; products
// within derived bounds of the same product in double; rows that do not know their neighbours.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "base/rng.h"
#include "engine/packing.h"
#include "format/decode.h"
#include "kernels/dispatch.h"
#include "tensor/half.h"

namespace metier::engine {
namespace {

using kernels::kBlockInner;
using kernels::kBlockSums;
using kernels::KernelTable;
using kernels::kPanelOutputs;
using kernels::PackedProduct;
using tensor::DType;

// A type, and where its blocks hold F16 numbers: random bits there would be infinities.
struct Type {
  DType dtype;
  std::vector<std::size_t> halves;
};

const std::vector<Type>& Types() {
  static const std::vector<Type> types = {
      {DType::kF32, {}},      {DType::kF16, {}},      {DType::kBF16, {}},
      {DType::kQ4_0, {0}},    {DType::kQ4_1, {0, 2}}, {DType::kQ5_0, {0}},
      {DType::kQ5_1, {0, 2}}, {DType::kQ8_0, {0}},    {DType::kQ2_K, {80, 82}},
      {DType::kQ3_K, {108}},  {DType::kQ4_K, {0, 2}}, {DType::kQ5_K, {0, 2}},
      {DType::kQ6_K, {208}},  {DType::kIQ4_NL, {0}},  {DType::kIQ4_XS, {0}},
  };
  return types;
}

void PutHalf(float value, std::byte* at) {
  const std::uint16_t bits = tensor::ToF16(value);
  std::memcpy(at, &bits, sizeof(bits));
}

// Random weights of a stored type, their panels, and their values as the decoder has them.
struct Weights {
  Weights(const Type& type, std::int64_t rows, std::int64_t columns, std::uint64_t seed)
      : outputs(static_cast<std::size_t>(rows)), inner(static_cast<std::size_t>(columns)) {
    const tensor::DTypeInfo& info = tensor::InfoOf(type.dtype);
    const std::size_t row_bytes = inner / info.block_elements * info.block_bytes;
    stored.resize(outputs * row_bytes);
    Rng rng(seed);
    for (std::size_t at = 0; at < stored.size(); at += info.block_bytes)
      FillBlock(type, rng, std::span(stored).subspan(at, info.block_bytes));
    const Matrix matrix{.dtype = type.dtype,
                        .rows = rows,
                        .columns = columns,
                        .data = stored.data(),
                        .row_bytes = row_bytes,
                        .packing = {},
                        .panel_bytes = 0};
    packing = PackingOf(type.dtype).value();
    panel_bytes = PanelBytes(packing, columns);
    panels.resize(PanelCount(rows) * panel_bytes);
    for (std::size_t panel = 0; panel < PanelCount(rows); ++panel)
      PackPanel(matrix, panel, panels.data() + panel * panel_bytes);
    values.resize(outputs * inner);
    for (std::size_t o = 0; o < outputs; ++o) {
      EXPECT_TRUE(format::DecodeToF32(type.dtype, matrix.Row(static_cast<std::int64_t>(o)),
                                      std::span(values).subspan(o * inner, inner))
                      .ok());
    }
  }

  static void FillBlock(const Type& type, Rng& rng, std::span<std::byte> block) {
    const auto uniform = [&] { return static_cast<float>(2 * rng.Uniform() - 1); };
    const float plain = uniform();
    switch (type.dtype) {
      case DType::kF32: std::memcpy(block.data(), &plain, 4); return;
      case DType::kF16: PutHalf(plain, block.data()); return;
      case DType::kBF16: {
        const std::uint16_t bits = tensor::ToBF16(plain);
        std::memcpy(block.data(), &bits, 2);
        return;
      }
      default: break;
    }
    for (std::byte& byte : block) byte = static_cast<std::byte>(rng.Below(256));
    for (const std::size_t at : type.halves) PutHalf(uniform() / 64, block.data() + at);
  }

  const kernels::PackedKernels& Kernels(const KernelTable& table) const {
    return table.packed[static_cast<std::size_t>(packing)];
  }

  std::size_t outputs;
  std::size_t inner;
  std::vector<std::byte> stored;
  kernels::Packing packing{};
  std::size_t panel_bytes = 0;
  std::vector<std::byte> panels;
  std::vector<float> values;
};

// Inner sizes around groups, blocks and headers, as far as the type's blocks allow them.
std::vector<std::int64_t> InnerSizes(DType dtype) {
  const std::int64_t block = tensor::InfoOf(dtype).block_elements;
  if (block == 1) return {1, 5, 31, 32, 33, 128, 130, 300};
  if (block == 32) return {32, 96, 128, 160, 288};
  return {256, 768};
}

std::vector<float> Normal(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(rng.Normal());
  return values;
}

// Rows in 8 bits, in buffers of their exact sizes.
struct Quantised {
  Quantised(const KernelTable& table, const std::vector<float>& x, std::size_t row_count,
            std::size_t inner)
      : rows(row_count), blocks((inner + kBlockInner - 1) / kBlockInner) {
    q.resize(blocks * rows * kBlockInner);
    scale.resize(blocks * rows);
    sums.resize(blocks * rows * kBlockSums);
    for (std::size_t r = 0; r < rows; ++r) {
      table.quantise_row(x.data() + r * inner, inner, r, rows, q.data(), scale.data(), sums.data());
    }
  }
  kernels::QuantisedRows View() const { return {q.data(), scale.data(), sums.data(), rows}; }
  double Value(std::size_t r, std::size_t i) const {
    const std::size_t at = i / kBlockInner * rows + r;
    return static_cast<double>(scale[at]) * q[at * kBlockInner + i % kBlockInner];
  }

  std::size_t rows;
  std::size_t blocks;
  std::vector<std::int8_t> q;
  std::vector<float> scale;
  std::vector<std::int32_t> sums;
};

// The largest magnitude among the 32 weights around one.
double LargestOfGroup(const Weights& w, std::size_t output, std::size_t i) {
  const std::size_t first = i / kernels::kGroupInner * kernels::kGroupInner;
  const std::size_t last = std::min(w.inner, first + kernels::kGroupInner);
  double largest = 0;
  for (std::size_t j = first; j < last; ++j)
    largest = std::max(largest, std::abs(static_cast<double>(w.values[output * w.inner + j])));
  return largest;
}

class PackedProducts : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  const KernelTable& table() const { return *GetParam(); }

  std::vector<float> Multiply(const Weights& w, const std::vector<float>& x, std::size_t rows,
                              const Quantised* quantised = nullptr,
                              const std::vector<float>& bias = {},
                              const std::vector<float>& before = {}) const {
    std::vector<float> out = before.empty() ? std::vector<float>(rows * w.outputs) : before;
    PackedProduct call{.w = w.panels.data(),
                       .panel_bytes = w.panel_bytes,
                       .outputs = w.outputs,
                       .inner = w.inner,
                       .x = x.data(),
                       .x_stride = w.inner,
                       .quantised = {},
                       .bias = bias.empty() ? nullptr : bias.data(),
                       .out = out.data(),
                       .out_stride = w.outputs,
                       .rows = rows,
                       .add = !before.empty()};
    if (quantised == nullptr) {
      w.Kernels(table()).multiply(call);
    } else {
      call.quantised = quantised->View();
      w.Kernels(table()).multiply_int8(call);
    }
    return out;
  }
};

TEST_P(PackedProducts, DecodeToTheBitsOfTheStoredWeights) {
  for (const Type& type : Types()) {
    for (const std::int64_t inner : InnerSizes(type.dtype)) {
      const Weights w(type, 70, inner, 1);
      for (std::size_t o = 0; o < w.outputs; ++o) {
        std::vector<float> decoded(w.inner);
        w.Kernels(table()).decode(w.panels.data() + o / kPanelOutputs * w.panel_bytes,
                                  o % kPanelOutputs, w.inner, decoded.data());
        ASSERT_EQ(std::memcmp(decoded.data(), w.values.data() + o * w.inner, 4 * w.inner), 0)
            << tensor::InfoOf(type.dtype).name << " inner=" << inner << " output=" << o;
      }
    }
  }
}

TEST_P(PackedProducts, FloatProductsStayWithinTheForwardErrorBound) {
  for (const Type& type : Types()) {
    for (const std::int64_t inner : InnerSizes(type.dtype)) {
      const Weights w(type, 70, inner, 2);
      constexpr std::size_t kRows = 9;
      const std::vector<float> x = Normal(kRows * w.inner, 3);
      const std::vector<float> bias = Normal(w.outputs, 4);
      const std::vector<float> before = Normal(kRows * w.outputs, 5);
      const std::vector<float> out = Multiply(w, x, kRows, nullptr, bias, before);
      for (std::size_t r = 0; r < kRows; ++r) {
        for (std::size_t o = 0; o < w.outputs; ++o) {
          double exact = static_cast<double>(bias[o]) + before[r * w.outputs + o];
          double magnitude = std::abs(bias[o]) + std::abs(before[r * w.outputs + o]);
          for (std::size_t i = 0; i < w.inner; ++i) {
            const double term = static_cast<double>(x[r * w.inner + i]) * w.values[o * w.inner + i];
            exact += term;
            magnitude += std::abs(term);
          }
          // A sum of inner + 2 terms, each rounded (Higham 2002, 3.1).
          const double bound = static_cast<double>(w.inner + 2) * FLT_EPSILON * magnitude;
          ASSERT_NEAR(out[r * w.outputs + o], exact, bound)
              << tensor::InfoOf(type.dtype).name << " inner=" << inner << " r=" << r << " o=" << o;
        }
      }
    }
  }
}

TEST_P(PackedProducts, ByteProductsAreThoseOfTheQuantisedActivations) {
  for (const Type& type : Types()) {
    for (const std::int64_t inner : InnerSizes(type.dtype)) {
      const Weights w(type, 66, inner, 6);
      if (w.Kernels(table()).multiply_int8 == nullptr) continue;
      for (const std::size_t rows : {1U, 7U, 33U}) {
        const std::vector<float> x = Normal(rows * w.inner, 7);
        const Quantised quantised(table(), x, rows, w.inner);
        const std::vector<float> bias = Normal(w.outputs, 8);
        const std::vector<float> out = Multiply(w, x, rows, &quantised, bias);
        for (std::size_t r = 0; r < rows; ++r) {
          for (std::size_t o = 0; o < w.outputs; ++o) {
            double exact = bias[o];
            double magnitude = std::abs(bias[o]);
            for (std::size_t i = 0; i < w.inner; ++i) {
              const double term = quantised.Value(r, i) * w.values[o * w.inner + i];
              exact += term;
              // The offset of a type is added apart from its codes: terms of up to three times the
              // weight's largest magnitude cancel.
              magnitude += 3 * std::abs(quantised.Value(r, i)) * LargestOfGroup(w, o, i);
            }
            // Sums of 16 or 32 codes are exact; each then takes two roundings and joins a sum of
            // two for each 16, and so do the blocks'.
            const double roundings = static_cast<double>(w.inner) / 16 * 2 + 8;
            ASSERT_NEAR(out[r * w.outputs + o], exact, roundings * FLT_EPSILON * magnitude)
                << tensor::InfoOf(type.dtype).name << " inner=" << inner << " rows=" << rows
                << " r=" << r << " o=" << o;
          }
        }
      }
    }
  }
}

TEST_P(PackedProducts, ARowGivesTheSameBitsAloneAndAmongOthers) {
  for (const Type& type : Types()) {
    const Weights w(type, 65, tensor::InfoOf(type.dtype).block_elements == 256 ? 256 : 160, 9);
    constexpr std::size_t kRows = 270;  // more than share one unpacked block
    const std::vector<float> x = Normal(kRows * w.inner, 10);
    const Quantised quantised(table(), x, kRows, w.inner);
    const bool bytes = w.Kernels(table()).multiply_int8 != nullptr;
    const std::vector<float> all = Multiply(w, x, kRows);
    const std::vector<float> all_bytes =
        bytes ? Multiply(w, x, kRows, &quantised) : std::vector<float>(all.size());
    for (std::size_t r = 0; r < kRows; r += 7) {
      const auto begin = x.begin() + static_cast<std::ptrdiff_t>(r * w.inner);
      const std::vector<float> row(begin, begin + static_cast<std::ptrdiff_t>(w.inner));
      const std::vector<float> alone = Multiply(w, row, 1);
      const auto at = static_cast<std::ptrdiff_t>(r * w.outputs);
      EXPECT_TRUE(std::equal(alone.begin(), alone.end(), all.begin() + at))
          << tensor::InfoOf(type.dtype).name << " " << r;
      if (!bytes) continue;
      const Quantised single(table(), row, 1, w.inner);
      const std::vector<float> alone_bytes = Multiply(w, row, 1, &single);
      EXPECT_TRUE(std::equal(alone_bytes.begin(), alone_bytes.end(), all_bytes.begin() + at))
          << tensor::InfoOf(type.dtype).name << " in 8 bits " << r;
    }
  }
}

// One row, of which `percent` are +0 or -0; where the others are.
struct RowWithZeros {
  RowWithZeros(std::size_t inner, std::uint64_t percent, std::uint64_t seed)
      : x(Normal(inner, seed)), marks((inner + kernels::kGroupInner - 1) / kernels::kGroupInner) {
    Rng rng(seed + 1);
    for (std::size_t i = 0; i < inner; ++i) {
      if (rng.Below(100) < percent) {
        x[i] = rng.Below(2) == 0 ? 0.0F : -0.0F;
      } else {
        marks[i / kernels::kGroupInner] |= 1U << (i % kernels::kGroupInner);
      }
    }
  }
  std::vector<float> x;
  std::vector<std::uint32_t> marks;
};

TEST_P(PackedProducts, SkippingZerosChangesNoBit) {
  for (const Type& type : Types()) {
    for (const std::int64_t inner : InnerSizes(type.dtype)) {
      const Weights w(type, 70, inner, 17);
      if (w.Kernels(table()).multiply_nonzero == nullptr) continue;
      const std::vector<float> bias = Normal(w.outputs, 18);
      const std::vector<float> before = Normal(w.outputs, 19);
      for (const std::uint64_t percent : {0U, 50U, 90U, 100U}) {
        const RowWithZeros row(w.inner, percent, 20 + percent);
        for (const bool add : {false, true}) {
          const std::vector<float> whole =
              Multiply(w, row.x, 1, nullptr, bias, add ? before : std::vector<float>());
          std::vector<float> skipped = add ? before : std::vector<float>(w.outputs);
          w.Kernels(table()).multiply_nonzero({.w = w.panels.data(),
                                               .panel_bytes = w.panel_bytes,
                                               .outputs = w.outputs,
                                               .inner = w.inner,
                                               .x = row.x.data(),
                                               .x_stride = w.inner,
                                               .quantised = {},
                                               .nonzero = row.marks.data(),
                                               .bias = bias.data(),
                                               .out = skipped.data(),
                                               .out_stride = w.outputs,
                                               .rows = 1,
                                               .add = add});
          ASSERT_EQ(std::memcmp(whole.data(), skipped.data(), 4 * w.outputs), 0)
              << tensor::InfoOf(type.dtype).name << " inner=" << inner << " zeros=" << percent;
        }
      }
    }
  }
}

// A product that underflows leaves -0, which the next zero would turn into +0.
TEST_P(PackedProducts, SkippingZerosKeepsTheSignOfAZeroSum) {
  Weights w(Types()[0], 64, 33, 21);
  std::vector<float> x(w.inner);
  x[3] = -1e-30F;
  for (float* weight = reinterpret_cast<float*>(w.panels.data());
       weight != reinterpret_cast<float*>(w.panels.data() + w.panels.size()); ++weight)
    *weight = 1e-30F;
  const std::vector<std::uint32_t> marks = {8U, 0U};
  const std::vector<float> whole = Multiply(w, x, 1);
  std::vector<float> skipped(w.outputs);
  w.Kernels(table()).multiply_nonzero({.w = w.panels.data(),
                                       .panel_bytes = w.panel_bytes,
                                       .outputs = w.outputs,
                                       .inner = w.inner,
                                       .x = x.data(),
                                       .x_stride = w.inner,
                                       .quantised = {},
                                       .nonzero = marks.data(),
                                       .out = skipped.data(),
                                       .out_stride = w.outputs,
                                       .rows = 1});
  EXPECT_EQ(std::memcmp(whole.data(), skipped.data(), 4 * w.outputs), 0);
}

TEST_P(PackedProducts, PairsAreMultipliedWithinTheErrorOfTheirSums) {
  for (const std::int64_t inner : InnerSizes(DType::kBF16)) {
    const Weights w(Types()[2], 70, inner, 14);
    if (w.Kernels(table()).multiply_bf16 == nullptr) {
      EXPECT_STRNE(table().name, "avx512bf16");
      return;
    }
    constexpr std::size_t kRows = 9;
    const std::vector<float> x = Normal(kRows * w.inner, 15);
    const std::size_t stride = (w.inner + 1) / 2 * 2;
    std::vector<std::uint16_t> rounded(kRows * stride);
    for (std::size_t r = 0; r < kRows; ++r)
      table().round_bf16(x.data() + r * w.inner, w.inner, rounded.data() + r * stride);
    const auto multiply = [&](std::size_t row, std::size_t rows) {
      std::vector<float> out(rows * w.outputs);
      w.Kernels(table()).multiply_bf16({.w = w.panels.data(),
                                        .panel_bytes = w.panel_bytes,
                                        .outputs = w.outputs,
                                        .inner = w.inner,
                                        .quantised = {},
                                        .x_bf16 = rounded.data() + row * stride,
                                        .x_bf16_stride = stride,
                                        .out = out.data(),
                                        .out_stride = w.outputs,
                                        .rows = rows});
      return out;
    };
    const std::vector<float> out = multiply(0, kRows);
    for (std::size_t r = 0; r < kRows; ++r) {
      const std::vector<float> alone = multiply(r, 1);
      EXPECT_TRUE(std::equal(alone.begin(), alone.end(),
                             out.begin() + static_cast<std::ptrdiff_t>(r * w.outputs)));
      for (std::size_t o = 0; o < w.outputs; ++o) {
        double exact = 0;
        double magnitude = 0;
        for (std::size_t i = 0; i < w.inner; ++i) {
          const double term = static_cast<double>(tensor::FromBF16(rounded[r * stride + i])) *
                              w.values[o * w.inner + i];
          exact += term;
          magnitude += std::abs(term);
        }
        // The instruction rounds a pair's products and sums twice; subnormal results become zero.
        const double bound = static_cast<double>(w.inner + 2) * FLT_EPSILON * magnitude + FLT_MIN;
        ASSERT_NEAR(out[r * w.outputs + o], exact, bound) << "inner=" << inner << " o=" << o;
      }
    }
  }
}

TEST_P(PackedProducts, RoundingToBf16IsToTheNearestEven) {
  std::vector<float> x = Normal(1000, 16);
  for (const std::uint32_t bits : {0x3f808000U, 0x3f818000U, 0x3f808001U, 0x3f7fffffU, 0x7f7fffffU,
                                   0x7f800000U, 0xff800000U, 0x00000001U, 0x80000000U}) {
    x.push_back(std::bit_cast<float>(bits));
  }
  std::vector<std::uint16_t> rounded(x.size());
  table().round_bf16(x.data(), x.size(), rounded.data());
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(rounded[i], tensor::ToBF16(x[i])) << x[i];
  const float nan = std::bit_cast<float>(0x7f800001U);
  table().round_bf16(&nan, 1, rounded.data());
  EXPECT_TRUE(std::isnan(tensor::FromBF16(rounded[0])));
}

TEST_P(PackedProducts, QuantisedRowsAreOffByHalfAStepAtMost) {
  for (const std::size_t inner : {1U, 31U, 128U, 129U, 300U}) {
    constexpr std::size_t kRows = 3;
    std::vector<float> x = Normal(kRows * inner, 11);
    std::fill_n(x.begin(), inner, 0.0F);
    x[inner] = 1000;  // an outlier costs its block only
    const Quantised quantised(table(), x, kRows, inner);
    for (std::size_t r = 0; r < kRows; ++r) {
      for (std::size_t i = 0; i < inner; ++i) {
        const double step = quantised.scale[i / kBlockInner * kRows + r];
        EXPECT_NEAR(quantised.Value(r, i), x[r * inner + i], step * (0.5 + 128 * FLT_EPSILON));
      }
      for (std::size_t b = 0; b < quantised.blocks; ++b) {
        const std::size_t at = b * kRows + r;
        for (std::size_t s = 0; s < kBlockSums; ++s) {
          std::int32_t sum = 0;
          for (std::size_t i = 0; i < kernels::kSumInner; ++i)
            sum += quantised.q[at * kBlockInner + s * kernels::kSumInner + i];
          EXPECT_EQ(quantised.sums[at * kBlockSums + s], sum);
        }
      }
    }
  }
}

TEST_P(PackedProducts, WhatIsNotFiniteShows) {
  const Weights w(Types()[3], 64, 288, 12);
  for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    std::vector<float> x = Normal(w.inner, 13);
    x[200] = bad;
    const Quantised quantised(table(), x, 1, w.inner);
    EXPECT_TRUE(std::isnan(Multiply(w, x, 1, &quantised)[5]));
  }
}

// All of them in one run, unless METIER_ISA names one.
std::vector<const KernelTable*> Tables() {
  if (std::getenv("METIER_ISA") != nullptr) return {&kernels::Kernels()};
  return {kernels::SupportedTables().begin(), kernels::SupportedTables().end()};
}

INSTANTIATE_TEST_SUITE_P(Isa, PackedProducts, ::testing::ValuesIn(Tables()),
                         [](const auto& tested) { return std::string(tested.param->name); });

}  // namespace
}  // namespace metier::engine
