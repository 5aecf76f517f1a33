// Who stays in an expert cache, who has to go, and who waits.
#include "engine/expert_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "base/file.h"
#include "base/rng.h"
#include "engine/packing.h"
#include "support/fixtures.h"

namespace metier::engine {
namespace {

using metier::test::TempFolder;
using Fetch = ExpertCache::Fetch;

constexpr std::int64_t kRows = 64;
constexpr std::int64_t kColumns = 32;
constexpr std::size_t kMatrixBytes = kRows * kColumns * sizeof(float);
constexpr std::size_t kExpertBytes = 3 * kMatrixBytes;  // one panel, one group

// A crew of the caller only.
constexpr auto kAlone = [](std::size_t count, std::size_t /*cost*/,
                           FunctionRef<void(std::size_t, std::size_t)> body) { body(0, count); };

// Layers of experts in a mapped file, whose cache has room for some of them.
class ExpertCacheTest : public ::testing::Test {
 protected:
  void Make(std::size_t layers, std::size_t experts, std::size_t room) {
    Rng rng(1);
    std::string text(layers * experts * kExpertBytes, '\0');
    for (std::size_t at = 0; at < text.size(); at += sizeof(float)) {
      const auto value = static_cast<float>(rng.Normal());
      std::memcpy(text.data() + at, &value, sizeof(value));
    }
    metier::test::WriteAll(folder_ / "weights", text);
    map_.emplace(MappedFile::Open(folder_ / "weights").value());
    const std::byte* at = map_->bytes().data();
    stored_.assign(layers, std::vector<FeedForward>(experts));
    for (std::vector<FeedForward>& layer : stored_) {
      for (FeedForward& ffn : layer) {
        for (Linear* linear : {&ffn.gate, &ffn.up, &ffn.down}) {
          linear->w = {.dtype = tensor::DType::kF32,
                       .rows = kRows,
                       .columns = kColumns,
                       .data = at,
                       .row_bytes = kColumns * sizeof(float)};
          at += kMatrixBytes;
        }
      }
    }
    auto made = ExpertCache::Create(stored_, room * kExpertBytes);
    ASSERT_OK(made);
    cache_ = std::move(made).value();
  }

  // Pins and lets go, as a pass that has room for all at once.
  void Use(std::size_t layer, const std::vector<std::int32_t>& experts) {
    cache_->Expect(layer, experts, Fetch::kWhenPinned);
    std::vector<const FeedForward*> pinned;
    ASSERT_EQ(cache_->Pin(layer, experts, kAlone, pinned), experts.size());
    cache_->Unpin(layer, experts);
  }

  bool IsThere(std::size_t layer, std::int32_t expert) {
    const std::int64_t misses = cache_->stats().misses;
    Use(layer, {expert});
    return cache_->stats().misses == misses;
  }

  TempFolder folder_;
  std::optional<MappedFile> map_;
  std::vector<std::vector<FeedForward>> stored_;
  std::unique_ptr<ExpertCache> cache_;
};

TEST_F(ExpertCacheTest, APinnedExpertIsThePackedStoredOne) {
  Make(2, 3, 1);
  for (const std::size_t layer : {1U, 0U}) {
    for (const std::int32_t expert : {2, 0}) {
      std::vector<const FeedForward*> pinned;
      ASSERT_EQ(cache_->Pin(layer, {{expert}}, kAlone, pinned), 1U);
      const FeedForward& stored = stored_[layer][static_cast<std::size_t>(expert)];
      for (const auto linear : {&FeedForward::gate, &FeedForward::up, &FeedForward::down}) {
        std::vector<std::byte> panel(kMatrixBytes);
        PackPanel((stored.*linear).w, 0, panel.data());
        const Matrix& packed = (pinned.front()->*linear).w;
        ASSERT_TRUE(packed.packing.has_value());
        EXPECT_EQ(std::memcmp(packed.data, panel.data(), panel.size()), 0);
      }
      cache_->Unpin(layer, {{expert}});
    }
  }
}

TEST_F(ExpertCacheTest, PinsWhatFitsAtOnceAndLeavesTheRest) {
  Make(1, 4, 2);
  const std::vector<std::int32_t> experts = {0, 1, 3};
  std::vector<const FeedForward*> pinned;
  ASSERT_EQ(cache_->Pin(0, experts, kAlone, pinned), 2U);
  EXPECT_EQ(pinned.size(), 2U);
  cache_->Unpin(0, std::span(experts).first(2));
  ASSERT_EQ(cache_->Pin(0, std::span(experts).subspan(2), kAlone, pinned), 1U);
  cache_->Unpin(0, std::span(experts).subspan(2));
  const ExpertCacheStats stats = cache_->stats();
  EXPECT_EQ(stats.misses, 3);
  EXPECT_EQ(stats.peak_bytes, 2 * kExpertBytes);
  EXPECT_EQ(stats.resident_bytes, 2 * kExpertBytes);
  EXPECT_EQ(stats.HitRate(), 0);
}

TEST_F(ExpertCacheTest, OftenUsedExpertsStay) {
  Make(1, 4, 2);
  for (int i = 0; i < 5; ++i) Use(0, {2});
  Use(0, {0});
  Use(0, {1});  // 0 has to go, although 2 is older
  EXPECT_TRUE(IsThere(0, 2));
  EXPECT_TRUE(IsThere(0, 1));
  EXPECT_FALSE(IsThere(0, 0));
}

TEST_F(ExpertCacheTest, UsesOfLongAgoCountLess) {
  Make(1, 3, 2);
  for (int i = 0; i < 9; ++i) Use(0, {0});
  for (int i = 0; i < 60; ++i) cache_->Expect(0, {}, Fetch::kWhenPinned);  // passes of the layer
  Use(0, {1});
  Use(0, {2});  // nine uses 60 passes ago are less than one just now
  EXPECT_TRUE(IsThere(0, 1));
  EXPECT_TRUE(IsThere(0, 2));
  EXPECT_FALSE(IsThere(0, 0));
}

// By time alone every layer would push out what the next one needs, and nothing would be hit. With
// room for four of six, three stay and one place serves the other three.
TEST_F(ExpertCacheTest, LayersInTurnDoNotPushOutEachOther) {
  constexpr std::size_t kLayers = 6;
  Make(kLayers, 4, 4);
  for (int token = 0; token < 20; ++token) {
    for (std::size_t layer = 0; layer < kLayers; ++layer) Use(layer, {1});
  }
  EXPECT_EQ(cache_->stats().hits, 19 * 3);  // none for the first token
}

TEST_F(ExpertCacheTest, ExpectedExpertsStayForTheirPass) {
  Make(2, 4, 2);
  Use(0, {0});
  for (int i = 0; i < 4; ++i) Use(1, {3});
  cache_->Expect(0, {{0}}, Fetch::kWhenPinned);
  Use(1, {2});  // 3 has the higher score, but 0 is expected
  EXPECT_TRUE(IsThere(0, 0));
  EXPECT_FALSE(IsThere(1, 3));
}

TEST_F(ExpertCacheTest, WhatIsExpectedComesInTheBackground) {
  Make(1, 4, 4);
  const std::vector<std::int32_t> experts = {1, 3};
  cache_->Expect(0, experts, Fetch::kInBackground);
  while (cache_->stats().resident_bytes < 2 * kExpertBytes) std::this_thread::yield();
  std::vector<const FeedForward*> pinned;
  ASSERT_EQ(cache_->Pin(0, experts, kAlone, pinned), 2U);
  EXPECT_EQ(cache_->stats().prefetched, 2);
  EXPECT_EQ(cache_->stats().misses, 0);
  cache_->Unpin(0, experts);
  Use(0, experts);
  EXPECT_EQ(cache_->stats().hits, 2);
}

TEST_F(ExpertCacheTest, TheBackgroundTakesNoRoomFromPinnedOrExpectedExperts) {
  Make(1, 4, 2);
  const std::vector<std::int32_t> first = {0, 1};
  std::vector<const FeedForward*> pinned;
  ASSERT_EQ(cache_->Pin(0, first, kAlone, pinned), 2U);
  cache_->Expect(0, {{2}}, Fetch::kInBackground);
  const std::byte before = *pinned.front()->gate.w.data;
  EXPECT_EQ(cache_->stats().resident_bytes, 2 * kExpertBytes);
  EXPECT_EQ(*pinned.front()->gate.w.data, before);
  cache_->Unpin(0, first);  // now there is room
  while (cache_->stats().resident_bytes < 2 * kExpertBytes) std::this_thread::yield();
  Use(0, {2});
  EXPECT_EQ(cache_->stats().peak_bytes, 2 * kExpertBytes);
}

TEST_F(ExpertCacheTest, APassWaitsUntilAnotherLetsGo) {
  Make(1, 2, 1);
  std::vector<const FeedForward*> pinned;
  ASSERT_EQ(cache_->Pin(0, {{0}}, kAlone, pinned), 1U);
  std::atomic<bool> let_go{false};
  std::atomic<bool> early{false};
  std::thread other([&] {
    std::vector<const FeedForward*> own;
    EXPECT_EQ(cache_->Pin(0, {{1}}, kAlone, own), 1U);
    early = !let_go;
    cache_->Unpin(0, {{1}});
  });
  for (int i = 0; i < 1000; ++i) std::this_thread::yield();
  let_go = true;
  cache_->Unpin(0, {{0}});
  other.join();
  EXPECT_FALSE(early);
  EXPECT_EQ(cache_->stats().peak_bytes, kExpertBytes);
}

TEST_F(ExpertCacheTest, GoesWhileItStillHasWorkInTheBackground) {
  Make(2, 16, 16);
  std::vector<std::int32_t> all(16);
  for (std::int32_t i = 0; i < 16; ++i) all[static_cast<std::size_t>(i)] = i;
  cache_->Expect(0, all, Fetch::kInBackground);
  cache_->Expect(1, all, Fetch::kInBackground);
  cache_.reset();
}

}  // namespace
}  // namespace metier::engine
