#include "engine/low_rank.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>

#include "base/check.h"
#include "engine/packing.h"
#include "tensor/half.h"

namespace metier::engine {

using kernels::FactorType;
using kernels::kFactorBlock;
using kernels::kPanelOutputs;
using kernels::kQuadRanks;
using kernels::kStripRanks;

namespace {

// Of both factors, and of the bytes that they become.
struct Sizes {
  Sizes(const model::LoraDelta& delta, FactorType type)
      : rank(static_cast<std::size_t>(delta.a.shape()[0])),
        in(static_cast<std::size_t>(delta.a.shape()[1])),
        out(static_cast<std::size_t>(delta.b.shape()[0])),
        a(WholeLines(kernels::StripCount(rank) * kernels::StripBytes(type, in))),
        b(WholeLines(PanelCount(delta.b.shape()[0]) * kernels::PanelBytes(type, rank))) {}

  static std::size_t WholeLines(std::size_t bytes) {
    constexpr std::size_t kLine = 64;
    return (bytes + kLine - 1) / kLine * kLine;
  }

  std::size_t rank;
  std::size_t in;
  std::size_t out;
  std::size_t a;
  std::size_t b;
};

// What a factor's value at (row, column) is; zero outside.
struct Factor {
  std::span<const float> values;
  std::size_t rows;
  std::size_t columns;

  float At(std::size_t row, std::size_t column) const {
    return row < rows && column < columns ? values[row * columns + column] : 0.0F;
  }
  // The step with which codes up to 127 reach the greatest of columns [begin, begin + n) of a row;
  // NaN where one of them is not finite, to hide nothing.
  float Step(std::size_t row, std::size_t begin, std::size_t n) const {
    float greatest = 0;
    for (std::size_t i = begin; i < begin + n; ++i) {
      const float value = std::abs(At(row, i));
      if (!std::isfinite(value)) return std::numeric_limits<float>::quiet_NaN();
      greatest = std::max(greatest, value);
    }
    return greatest / 127.0F;
  }
};

template <class T>
void Put(T value, std::byte*& to) {
  std::memcpy(to, &value, sizeof(value));
  to += sizeof(value);
}

int CodeOf(float value, float step) {
  return step == 0 || std::isnan(step)
             ? 0
             : static_cast<int>(std::clamp(std::nearbyint(value / step), -127.0F, 127.0F));
}

// Inner indices [begin, begin + n) of a strip whose first rank is `first`.
void PackStrip(const Factor& a, FactorType type, std::size_t first, std::size_t begin,
               std::size_t n, std::byte*& to) {
  std::array<float, kStripRanks> steps;
  if (type == FactorType::kInt8) {
    for (std::size_t k = 0; k < kStripRanks; ++k) Put(steps[k] = a.Step(first + k, begin, n), to);
  }
  for (std::size_t i = begin; i < begin + n; ++i) {
    for (std::size_t k = 0; k < kStripRanks; ++k) {
      const float value = a.At(first + k, i);
      if (type == FactorType::kF32) {
        Put(value, to);
      } else {
        Put(static_cast<std::int8_t>(CodeOf(value, steps[k])), to);
      }
    }
  }
}

void PackPanelF32(const Factor& b, std::size_t first, std::byte*& to) {
  for (std::size_t k = 0; k < b.columns; ++k) {
    for (std::size_t o = first; o < first + kPanelOutputs; ++o) Put(b.At(o, k), to);
  }
}

void PackPanelInt8(const Factor& b, std::size_t first, std::byte*& to) {
  std::array<float, kPanelOutputs> steps;
  for (std::size_t o = 0; o < kPanelOutputs; ++o) {
    const std::uint16_t step = tensor::ToBF16(b.Step(first + o, 0, b.columns));
    steps[o] = tensor::FromBF16(step);
    Put(step, to);
  }
  for (std::size_t quad = 0; quad < kernels::QuadCount(b.columns); ++quad) {
    for (std::size_t o = 0; o < kPanelOutputs; ++o) {
      for (std::size_t k = quad * kQuadRanks; k < (quad + 1) * kQuadRanks; ++k)
        Put(static_cast<std::uint8_t>(128 + CodeOf(b.At(first + o, k), steps[o])), to);
    }
  }
}

}  // namespace

std::size_t LowRank::Bytes(const model::LoraDelta& delta, FactorType type) {
  const Sizes sizes(delta, type);
  return sizes.a + sizes.b;
}

LowRank LowRank::Pack(const model::LoraDelta& delta, FactorType type, std::span<std::byte> space) {
  const Sizes sizes(delta, type);
  METIER_CHECK(space.size() == sizes.a + sizes.b, "room for both factors");
  const Factor a{.values = delta.a.f32(), .rows = sizes.rank, .columns = sizes.in};
  const Factor b{.values = delta.b.f32(), .rows = sizes.out, .columns = sizes.rank};
  std::byte* to = space.data();
  for (std::size_t strip = 0; strip < kernels::StripCount(sizes.rank); ++strip) {
    for (std::size_t i = 0; i < sizes.in; i += kFactorBlock)
      PackStrip(a, type, strip * kStripRanks, i, std::min(kFactorBlock, sizes.in - i), to);
  }
  to = space.data() + sizes.a;
  for (std::size_t output = 0; output < sizes.out; output += kPanelOutputs)
    type == FactorType::kF32 ? PackPanelF32(b, output, to) : PackPanelInt8(b, output, to);
  return {.type = type,
          .rank = sizes.rank,
          .in = sizes.in,
          .out = sizes.out,
          .scale = static_cast<float>(delta.scale),
          .a = space.data(),
          .b = space.data() + sizes.a};
}

}  // namespace metier::engine
