#include "engine/kv_cache.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/kernel_table.h"
#include "support/fixtures.h"

namespace metier::engine {
namespace {

model::ModelSpec Spec() {
  model::ModelSpec spec;
  spec.layers = 2;
  spec.kv_heads = 3;
  spec.head_dim = 8;
  return spec;
}

constexpr auto kPage = static_cast<std::int64_t>(kernels::kPageTokens);

TEST(KvCache, EveryPlaceIsItsOwn) {
  KvCache cache(Spec(), 1 << 20);
  CachedTokens sequence;
  constexpr std::int64_t kTokens = 2 * kPage + 3;
  ASSERT_OK(cache.Reserve(sequence, kTokens));
  EXPECT_EQ(cache.used_bytes(), 3 * cache.page_bytes());
  EXPECT_EQ(cache.page_bytes(), 4U * 2 * 2 * 3 * kernels::kPageTokens * 8);
  const auto for_each = [&](auto visit) {
    float number = 0;
    for (std::int64_t layer = 0; layer < 2; ++layer) {
      for (std::int64_t head = 0; head < 3; ++head) {
        for (std::int64_t position = 0; position < kTokens; ++position) {
          visit(cache.Key(sequence, layer, head, position), number++);
          visit(cache.Value(sequence, layer, head, position), number++);
        }
      }
    }
  };
  for_each([](float* row, float number) { std::fill_n(row, 8, number); });
  for_each([](const float* row, float number) {
    EXPECT_TRUE(std::all_of(row, row + 8, [number](float x) { return x == number; }));
  });
  std::vector<const float*> keys;
  std::vector<const float*> values;
  cache.Pages(sequence, 1, 2, kTokens, keys, values);
  ASSERT_EQ(keys.size(), 3U);
  EXPECT_EQ(keys[1] + 8, cache.Key(sequence, 1, 2, kPage + 1));
  EXPECT_EQ(values[2], cache.Value(sequence, 1, 2, 2 * kPage));
  cache.Truncate(sequence, 0);
}

TEST(KvCache, RefusesWhatDoesNotFitAndReusesWhatWasGivenBack) {
  KvCache cache(Spec(), 3 * 4 * 2 * 2 * 3 * kernels::kPageTokens * 8);  // three pages
  CachedTokens first;
  CachedTokens second;
  ASSERT_OK(cache.Reserve(first, 2 * kPage));
  cache.SetLength(first, 2 * kPage);
  EXPECT_ERROR(cache.Reserve(second, kPage + 1), ErrorCode::kResourceExhausted, "3 pages of 64");
  cache.Truncate(second, 0);
  cache.Truncate(first, kPage);
  EXPECT_EQ(first.length(), kPage);
  EXPECT_OK(cache.Reserve(second, kPage + 1));
  cache.Truncate(first, 0);
  cache.Truncate(second, 0);
  EXPECT_EQ(cache.used_bytes(), 0U);
}

}  // namespace
}  // namespace metier::engine
