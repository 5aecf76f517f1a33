#include "engine/low_rank.h"

#include <cstring>
#include <span>

#include "base/check.h"
#include "engine/packing.h"
#include "kernels/low_rank.h"
#include "tensor/half.h"

namespace metier::engine {

using tensor::DType;
using tensor::Tensor;

namespace {

// values[count], of which index(i) is the one at place i, or a number past them for zero.
template <class Index>
Tensor Arrange(std::span<const float> values, std::size_t count, DType dtype, Index index) {
  Tensor arranged = Tensor::Uninitialised(dtype, {static_cast<std::int64_t>(count)});
  std::byte* to = arranged.bytes().data();
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t from = index(i);
    const float value = from < values.size() ? values[from] : 0.0F;
    if (dtype == DType::kF32) {
      std::memcpy(to + i * sizeof(float), &value, sizeof(float));
    } else {
      const std::uint16_t bits = tensor::ToBF16(value);
      std::memcpy(to + i * sizeof(bits), &bits, sizeof(bits));
    }
  }
  return arranged;
}

}  // namespace

LowRank LowRank::Pack(const model::LoraDelta& delta, DType dtype) {
  METIER_CHECK(dtype == DType::kF32 || dtype == DType::kBF16, "factors are floats or bfloat16");
  constexpr std::size_t kStrip = kernels::kStripRanks;
  constexpr std::size_t kPanel = kernels::kPanelOutputs;
  LowRank packed{.rank = static_cast<std::size_t>(delta.a.shape()[0]),
                 .in = static_cast<std::size_t>(delta.a.shape()[1]),
                 .out = static_cast<std::size_t>(delta.b.shape()[0]),
                 .scale = static_cast<float>(delta.scale),
                 .a = {},
                 .b = {}};
  const std::size_t nothing = ~std::size_t{0};
  const std::size_t strips = kernels::StripCount(packed.rank);
  packed.a = Arrange(delta.a.f32(), strips * packed.in * kStrip, dtype, [&](std::size_t place) {
    const std::size_t k = place / (packed.in * kStrip) * kStrip + place % kStrip;
    return k < packed.rank ? k * packed.in + place / kStrip % packed.in : nothing;
  });
  const std::size_t panels = PanelCount(static_cast<std::int64_t>(packed.out));
  packed.b = Arrange(delta.b.f32(), panels * packed.rank * kPanel, dtype, [&](std::size_t place) {
    const std::size_t o = place / (packed.rank * kPanel) * kPanel + place % kPanel;
    return o < packed.out ? o * packed.rank + place / kPanel % packed.rank : nothing;
  });
  return packed;
}

}  // namespace metier::engine
