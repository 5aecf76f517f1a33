#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>

#include "every_isa.h"
#include "tensor/half.h"

namespace metier::kernels::test {
namespace {

class KvPages : public EveryIsa {};

constexpr std::size_t kDims[] = {1, 3, 7, 8, 9, 15, 16, 17, 33, 64, 80, 128, kMostHeadDim};
constexpr std::size_t kToken = 37;
constexpr std::byte kUntouched{0xa5};

// The blocks of a page with one token in them.
struct Stored {
  Stored(const KernelTable& table, KvType stored_type, const std::vector<float>& x)
      : type(stored_type),
        head_dim(x.size()),
        keys(KeyBytes(type, head_dim), kUntouched),
        values(ValueBytes(type, head_dim), kUntouched) {
    const KvKernels& kernels = table.kv[static_cast<std::size_t>(type)];
    kernels.store_key(x.data(), head_dim, kToken, keys.data());
    kernels.store_value(x.data(), head_dim, kToken, values.data());
  }

  template <class T>
  T Key(std::size_t d) const {
    return Read<T>(keys, (d * kPageTokens + kToken) * sizeof(T));
  }
  template <class T>
  T Value(std::size_t d) const {
    return Read<T>(values, (kToken * PaddedHead(head_dim) + d) * sizeof(T));
  }
  float KeyScale() const { return Read<float>(keys, kPageTokens * head_dim + 4 * kToken); }
  float ValueScale() const {
    return Read<float>(values, kPageTokens * PaddedHead(head_dim) + 4 * kToken);
  }

  template <class T>
  static T Read(const std::vector<std::byte>& block, std::size_t at) {
    T value;
    std::memcpy(&value, block.data() + at, sizeof(value));
    return value;
  }

  KvType type;
  std::size_t head_dim;
  std::vector<std::byte> keys;
  std::vector<std::byte> values;
};

TEST_P(KvPages, FloatsAreKeptAndBfloat16IsRoundedOnce) {
  for (const std::size_t n : kDims) {
    const std::vector<float> x = Uniform(n, 3);
    const Stored f32(table(), KvType::kF32, x);
    const Stored bf16(table(), KvType::kBF16, x);
    for (std::size_t d = 0; d < n; ++d) {
      EXPECT_EQ(f32.Key<float>(d), x[d]);
      EXPECT_EQ(f32.Value<float>(d), x[d]);
      EXPECT_EQ(bf16.Key<std::uint16_t>(d), tensor::ToBF16(x[d]));
      EXPECT_EQ(bf16.Value<std::uint16_t>(d), tensor::ToBF16(x[d]));
    }
  }
}

// Half a step, and the roundings of x * (127 / most): three units of its last place, at most 127.
TEST_P(KvPages, EightBitsAreOffByHalfAStep) {
  for (const std::size_t n : kDims) {
    for (const float size : {1.0F, 1e-30F, 3e30F}) {
      std::vector<float> x = Uniform(n, 4);
      for (float& value : x) value *= size;
      float most = 0;
      for (const float value : x) most = std::max(most, std::abs(value));
      const Stored stored(table(), KvType::kInt8, x);
      ASSERT_EQ(stored.KeyScale(), most / 127);
      ASSERT_EQ(stored.ValueScale(), most / 127);
      const double step = static_cast<double>(most) / 127;
      int largest = 0;
      for (std::size_t d = 0; d < n; ++d) {
        const int code = stored.Key<std::int8_t>(d);
        EXPECT_EQ(code, stored.Value<std::int8_t>(d));
        EXPECT_NEAR(code * step, x[d], step * (0.5 + 3 * 127 * FLT_EPSILON)) << "n=" << n;
        largest = std::max(largest, std::abs(code));
      }
      EXPECT_EQ(largest, 127);
    }
  }
}

TEST_P(KvPages, EveryInstructionSetStoresTheSameBytesAndOnlyItsToken) {
  for (const KvType type : {KvType::kF32, KvType::kBF16, KvType::kInt8}) {
    for (const std::size_t n : kDims) {
      const std::vector<float> x = Uniform(n, 5);
      const Stored stored(table(), type, x);
      const Stored scalar(*SupportedTables().front(), type, x);
      ASSERT_TRUE(stored.keys == scalar.keys) << n;
      // Padding of the token's own values may be anything.
      const std::size_t code = kKvLayouts[static_cast<std::size_t>(type)].code_bytes;
      const std::size_t row = PaddedHead(n) * code;
      const auto same = [&](std::size_t begin, std::size_t end) {
        return std::equal(stored.values.begin() + static_cast<std::ptrdiff_t>(begin),
                          stored.values.begin() + static_cast<std::ptrdiff_t>(end),
                          scalar.values.begin() + static_cast<std::ptrdiff_t>(begin));
      };
      EXPECT_TRUE(same(0, kToken * row + n * code)) << n;
      EXPECT_TRUE(same((kToken + 1) * row, stored.values.size())) << n;
      std::size_t touched = 0;
      for (const auto* block : {&stored.keys, &stored.values})
        touched += block->size() -
                   static_cast<std::size_t>(std::count(block->begin(), block->end(), kUntouched));
      const std::size_t scale = kKvLayouts[static_cast<std::size_t>(type)].scale_bytes;
      EXPECT_LE(touched, n * code + row + 2 * scale) << n;
    }
  }
}

TEST_P(KvPages, NothingIsHiddenAndNothingDividedByZero) {
  std::vector<float> x = Uniform(20, 6);
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    for (const std::size_t at : {0, 13, 19}) {
      std::vector<float> broken = x;
      broken[at] = bad;
      const Stored stored(table(), KvType::kInt8, broken);
      EXPECT_TRUE(std::isnan(stored.KeyScale()));
      EXPECT_TRUE(std::isnan(stored.ValueScale()));
    }
  }
  for (const float tiny : {0.0F, 1e-40F, 2e-38F, 0x1p-121F}) {
    const Stored stored(table(), KvType::kInt8, std::vector<float>(20, tiny));
    for (std::size_t d = 0; d < 20; ++d) {
      EXPECT_EQ(stored.Key<std::int8_t>(d), 0);
      EXPECT_EQ(stored.Value<std::int8_t>(d), 0);
    }
    EXPECT_GE(stored.KeyScale(), 0);
  }
}

METIER_EVERY_ISA(KvPages);

}  // namespace
}  // namespace metier::kernels::test
