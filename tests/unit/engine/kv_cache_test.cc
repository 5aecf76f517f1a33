#include "engine/kv_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/rng.h"
#include "kernels/kernel_table.h"
#include "support/fixtures.h"

namespace metier::engine {
namespace {

using model::AdapterId;
using model::TokenId;

model::ModelSpec Spec() {
  model::ModelSpec spec;
  spec.layers = 2;
  spec.kv_heads = 3;
  spec.head_dim = 8;
  return spec;
}

constexpr auto kPage = static_cast<std::int64_t>(kernels::kPageTokens);
constexpr std::uint64_t kPageBytes =
    4ULL * 2 * 3 * kernels::kPageTokens * (8 + 16);  // 8, padded: 16

std::vector<TokenId> Tokens(std::int64_t count, TokenId first) {
  std::vector<TokenId> tokens(static_cast<std::size_t>(count));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

std::vector<TokenId> Joined(std::vector<TokenId> a, const std::vector<TokenId>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::uint64_t NoHash(std::uint64_t /*before*/, std::span<const TokenId> /*tokens*/) { return 0; }

// Blocks of one type fill a page exactly: each is filled with a number of its own, then all are
// read again.
TEST(KvCache, EveryBlockIsItsOwn) {
  // 2 layers of 3 heads: keys of 8 numbers, values of 8, padded to 16, and two scales for a token.
  constexpr std::uint64_t kTokenBytes[] = {4 * (8 + 16), 2 * (8 + 16), (8 + 16) + 2 * 4};
  for (const KvType type : {KvType::kF32, KvType::kBF16, KvType::kInt8}) {
    KvCache cache(Spec(), {.type = type, .max_bytes = 1 << 20});
    CachedTokens sequence;
    constexpr std::int64_t kTokens = 2 * kPage + 3;
    ASSERT_OK(cache.Reserve(sequence, kTokens));
    EXPECT_EQ(cache.used_bytes(), 3 * cache.page_bytes());
    EXPECT_EQ(cache.page_bytes(), 64 * 2 * 3 * kTokenBytes[static_cast<std::size_t>(type)]);
    const auto for_each = [&](auto visit) {
      int number = 0;
      for (std::int64_t layer = 0; layer < 2; ++layer) {
        for (std::int64_t head = 0; head < 3; ++head) {
          for (std::int64_t position = 0; position < kTokens; position += kPage) {
            visit(cache.Keys(sequence, layer, head, position), kernels::KeyBytes(type, 8),
                  static_cast<std::byte>(++number));
            visit(cache.Values(sequence, layer, head, position), kernels::ValueBytes(type, 8),
                  static_cast<std::byte>(++number));
          }
        }
      }
    };
    for_each([](std::byte* block, std::size_t bytes, std::byte number) {
      std::fill_n(block, bytes, number);
    });
    for_each([](const std::byte* block, std::size_t bytes, std::byte number) {
      EXPECT_EQ(static_cast<std::size_t>(std::count(block, block + bytes, number)), bytes);
    });
    std::vector<const std::byte*> keys;
    std::vector<const std::byte*> values;
    cache.Pages(sequence, 1, 2, kTokens, keys, values);
    ASSERT_EQ(keys.size(), 3U);
    EXPECT_EQ(keys[1], cache.Keys(sequence, 1, 2, kPage + 1));
    EXPECT_EQ(values[2], cache.Values(sequence, 1, 2, 2 * kPage));
    cache.Truncate(sequence, 0);
  }
}

TEST(KvCache, TypesHaveNames) {
  EXPECT_EQ(KvTypeFromName("f32"), KvType::kF32);
  EXPECT_EQ(KvTypeFromName("bf16"), KvType::kBF16);
  EXPECT_EQ(KvTypeFromName("int8"), KvType::kInt8);
  EXPECT_EQ(KvTypeFromName("int4"), std::nullopt);
}

// The first number of a position's key.
float& FirstOfKey(const KvCache& cache, const CachedTokens& sequence, std::int64_t layer,
                  std::int64_t head, std::int64_t position) {
  return reinterpret_cast<float*>(cache.Keys(sequence, layer, head, position))[position % kPage];
}

// A cache of `pages` pages that writes each token's number into its first key.
class Caching : public ::testing::TestWithParam<PageHash> {
 protected:
  KvCache Cache(std::int64_t pages, std::int64_t idle_pages) const {
    return KvCache(Spec(), {.max_bytes = static_cast<std::uint64_t>(pages) * kPageBytes,
                            .max_idle_bytes = static_cast<std::uint64_t>(idle_pages) * kPageBytes,
                            .hash = GetParam()});
  }
  static Status Put(KvCache& cache, CachedTokens& sequence, const std::vector<TokenId>& tokens) {
    const std::int64_t first = sequence.length();
    METIER_TRY(cache.Reserve(sequence, first + static_cast<std::int64_t>(tokens.size())));
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      FirstOfKey(cache, sequence, 1, 2, first + static_cast<std::int64_t>(i)) =
          static_cast<float>(tokens[i]);
    }
    cache.Append(sequence, tokens);
    return Ok();
  }
  static float At(const KvCache& cache, const CachedTokens& sequence, std::int64_t position) {
    return FirstOfKey(cache, sequence, 1, 2, position);
  }
};
INSTANTIATE_TEST_SUITE_P(Hashes, Caching, ::testing::Values(&HashPage, &NoHash),
                         [](const auto& hash) { return hash.index == 0 ? "Good" : "None"; });

TEST_P(Caching, RefusesWhatDoesNotFitAndReusesWhatWasGivenBack) {
  KvCache cache = Cache(3, 0);
  CachedTokens first;
  CachedTokens second;
  ASSERT_OK(Put(cache, first, Tokens(2 * kPage, 0)));
  EXPECT_ERROR(cache.Reserve(second, kPage + 1), ErrorCode::kResourceExhausted,
               "3 pages of 64 tokens (36864 bytes each) are in use, the limit is 3 pages, and 65 "
               "tokens of this sequence need 2");
  cache.Truncate(second, 0);
  cache.Truncate(first, kPage);
  EXPECT_EQ(first.length(), kPage);
  EXPECT_OK(cache.Reserve(second, kPage + 1));
  cache.Truncate(first, 0);
  cache.Truncate(second, 0);
  EXPECT_EQ(cache.used_bytes(), 0U);
  EXPECT_EQ(cache.stats().idle_pages, 0);  // as none are allowed
}

TEST_P(Caching, WhatWasClosedOrStillRunsIsAdoptedPageByPage) {
  KvCache cache = Cache(10, 10);
  const std::vector<TokenId> text = Tokens(3 * kPage + 5, 100);
  CachedTokens first;
  ASSERT_OK(Put(cache, first, text));
  for (const bool closed : {false, true}) {
    if (closed) cache.Truncate(first, 0);
    EXPECT_EQ(cache.FindPrefix(CachedTokens(AdapterId::kNone), text).tokens, 3 * kPage);
    EXPECT_EQ(cache.FindPrefix(CachedTokens(AdapterId::kNone), text).idle_pages, closed ? 3 : 0);
    CachedTokens second;
    EXPECT_EQ(cache.Adopt(second, text), 3 * kPage);
    EXPECT_EQ(second.length(), 3 * kPage);
    EXPECT_EQ(At(cache, second, 2 * kPage + 7), 100 + 2 * kPage + 7);
    EXPECT_EQ(cache.stats().used_pages, closed ? 3 : 4);
    cache.Truncate(second, 0);
    // Whole pages only, equal from the start, of the same adapter.
    CachedTokens shorter;
    EXPECT_EQ(cache.Adopt(shorter, std::span(text).first(2 * kPage - 1)), kPage);
    cache.Truncate(shorter, 0);
    std::vector<TokenId> other = text;
    other[kPage + 3] = 7;
    CachedTokens forked;
    EXPECT_EQ(cache.Adopt(forked, other), kPage);
    cache.Truncate(forked, 0);
    CachedTokens late;
    EXPECT_EQ(cache.Adopt(late, std::span(text).subspan(kPage)), 0);
    CachedTokens adapted(AdapterId{0});
    EXPECT_EQ(cache.Adopt(adapted, text), 0);
  }
  EXPECT_EQ(cache.stats().prefix_lookups, 10);
  EXPECT_EQ(cache.stats().prefix_hits, 6);
  EXPECT_EQ(cache.stats().reused_tokens, 10 * kPage);
  EXPECT_EQ(cache.used_bytes(), 0U);
  EXPECT_EQ(cache.stats().idle_pages, 3);
  EXPECT_EQ(cache.stats().free_pages, 7);
}

TEST_P(Caching, ASequenceGoesOnAdoptingAtTheEndOfAPage) {
  KvCache cache = Cache(10, 10);
  const std::vector<TokenId> text = Tokens(3 * kPage, 0);
  CachedTokens first;
  ASSERT_OK(Put(cache, first, Tokens(kPage, 0)));
  CachedTokens second;
  EXPECT_EQ(cache.Adopt(second, text), kPage);
  ASSERT_OK(Put(cache, first, Tokens(2 * kPage, kPage)));
  const std::span<const TokenId> rest = std::span(text).subspan(kPage);
  EXPECT_EQ(cache.Adopt(second, rest), 2 * kPage);
  cache.Truncate(second, kPage + 1);
  EXPECT_EQ(cache.Adopt(second, rest.subspan(1)), 0);  // inside a page
  EXPECT_EQ(cache.stats().prefix_lookups, 1);          // of empty sequences
  cache.Truncate(second, 0);
  cache.Truncate(first, 0);
}

TEST_P(Caching, EqualPagesBecomeOne) {
  KvCache cache = Cache(10, 10);
  CachedTokens first;
  CachedTokens second;
  ASSERT_OK(Put(cache, first, Tokens(kPage - 1, 0)));
  ASSERT_OK(Put(cache, second, Tokens(kPage - 1, 0)));
  EXPECT_EQ(cache.stats().used_pages, 2);
  for (CachedTokens* sequence : {&first, &second}) ASSERT_OK(Put(cache, *sequence, {kPage - 1}));
  EXPECT_EQ(cache.stats().used_pages, 1);
  EXPECT_EQ(cache.stats().free_pages, 9);
  cache.Truncate(first, 0);
  EXPECT_EQ(At(cache, second, kPage - 1), kPage - 1);
  cache.Truncate(second, 0);
}

TEST_P(Caching, AForkCopiesThePageThatItWrites) {
  KvCache cache = Cache(10, 0);
  CachedTokens first;
  ASSERT_OK(Put(cache, first, Tokens(kPage + 10, 0)));
  CachedTokens second = cache.Fork(first);
  EXPECT_EQ(cache.stats().used_pages, 2);
  ASSERT_OK(Put(cache, second, {1000}));
  EXPECT_EQ(cache.stats().used_pages, 3);
  EXPECT_EQ(cache.stats().copied_pages, 1);
  ASSERT_OK(Put(cache, first, {2000}));  // alone with its page now
  EXPECT_EQ(cache.stats().copied_pages, 1);
  EXPECT_EQ(At(cache, first, kPage + 9), kPage + 9);
  EXPECT_EQ(At(cache, second, kPage + 9), kPage + 9);
  EXPECT_EQ(At(cache, first, kPage + 10), 2000);
  EXPECT_EQ(At(cache, second, kPage + 10), 1000);
  cache.Truncate(first, 0);
  cache.Truncate(second, 0);
  EXPECT_EQ(cache.used_bytes(), 0U);
}

// Going back into a full page and on with other tokens must not change what others find.
TEST_P(Caching, AFullPageIsNotRewrittenWhileItIsKnown) {
  KvCache cache = Cache(10, 10);
  const std::vector<TokenId> text = Tokens(2 * kPage, 0);
  CachedTokens first;
  ASSERT_OK(Put(cache, first, text));
  CachedTokens second;
  ASSERT_EQ(cache.Adopt(second, text), 2 * kPage);
  cache.Truncate(second, kPage + 3);
  ASSERT_OK(Put(cache, second, {5000}));
  EXPECT_EQ(At(cache, first, kPage + 3), kPage + 3);
  EXPECT_EQ(cache.stats().copied_pages, 1);
  cache.Truncate(second, 0);
  // Alone with a leaf: it is forgotten in place, which needs no page.
  cache.Truncate(first, 2 * kPage - 1);
  ASSERT_OK(Put(cache, first, {6000}));
  EXPECT_EQ(cache.stats().copied_pages, 1);
  EXPECT_EQ(cache.FindPrefix(CachedTokens(AdapterId::kNone), text).tokens, kPage);
  // Alone with a page that idle ones continue: copied, so that they stay findable.
  cache.Truncate(first, kPage - 1);
  ASSERT_OK(Put(cache, first, {7000}));
  EXPECT_EQ(cache.stats().copied_pages, 2);
  const auto known = Joined(Tokens(2 * kPage - 1, 0), {6000});
  EXPECT_EQ(cache.FindPrefix(CachedTokens(AdapterId::kNone), known).tokens, 2 * kPage);
  cache.Truncate(first, 0);
}

TEST_P(Caching, RoomIsMadeByTheLongestUnusedFromTheEnd) {
  KvCache cache = Cache(5, 5);
  const auto put_and_close = [&](const std::vector<TokenId>& text) {
    CachedTokens sequence;
    cache.Adopt(sequence, text);
    const auto rest = std::span(text).subspan(static_cast<std::size_t>(sequence.length()));
    ASSERT_OK(Put(cache, sequence, {rest.begin(), rest.end()}));
    cache.Truncate(sequence, 0);
  };
  const auto found = [&](const std::vector<TokenId>& text) {
    return cache.FindPrefix(CachedTokens(AdapterId::kNone), text).tokens / kPage;
  };
  const std::vector<TokenId> system = Tokens(kPage, 0);
  const auto a = Joined(system, Tokens(kPage, 1000));
  const auto b = Joined(system, Tokens(kPage, 2000));
  const std::vector<TokenId> c = Tokens(2 * kPage, 3000);
  put_and_close(a);
  put_and_close(b);
  put_and_close(c);
  EXPECT_EQ(cache.stats().evicted_pages, 0);
  put_and_close(a);                    // used again
  put_and_close(Tokens(kPage, 4000));  // takes b's own page
  EXPECT_EQ(found(a), 2);
  EXPECT_EQ(found(b), 1);
  EXPECT_EQ(found(c), 2);
  put_and_close(Tokens(kPage, 5000));  // c's last page goes before its first
  EXPECT_EQ(found(c), 1);
  EXPECT_EQ(found(a), 2);
  EXPECT_EQ(cache.stats().evicted_pages, 2);
  // What sequences hold stays, with all that is before it.
  CachedTokens holder;
  ASSERT_EQ(cache.Adopt(holder, a), 2 * kPage);
  CachedTokens greedy;
  EXPECT_OK(cache.Reserve(greedy, 3 * kPage));
  EXPECT_ERROR(cache.Reserve(greedy, 4 * kPage), ErrorCode::kResourceExhausted, "5 pages");
  EXPECT_EQ(found(a), 2);
  cache.Truncate(greedy, 0);
  cache.Truncate(holder, 0);
}

TEST_P(Caching, IdlePagesHaveALimitOfTheirOwn) {
  KvCache cache = Cache(10, 2);
  CachedTokens sequence;
  ASSERT_OK(Put(cache, sequence, Tokens(4 * kPage, 0)));
  cache.Truncate(sequence, 0);
  EXPECT_EQ(cache.stats().idle_pages, 2);
  EXPECT_EQ(cache.FindPrefix(CachedTokens(AdapterId::kNone), Tokens(4 * kPage, 0)).tokens,
            2 * kPage);
}

// Sequences of an adapter with a prefix share it, and what follows it, wherever in a page that is.
TEST_P(Caching, APrefixIsSharedAndStays) {
  for (const std::int64_t places : {std::int64_t{10}, kPage, kPage + 10}) {
    SCOPED_TRACE(places);
    KvCache cache = Cache(20, 20);
    const AdapterId adapter{1};
    CachedTokens prefix(adapter);
    ASSERT_OK(cache.Reserve(prefix, places));
    for (std::int64_t place = 0; place < places; ++place)
      FirstOfKey(cache, prefix, 0, 1, place) = static_cast<float>(place);
    cache.AppendPrefix(prefix, places);
    EXPECT_EQ(prefix.length(), 0);
    EXPECT_EQ(prefix.places(), places);
    const std::vector<TokenId> text = Tokens(3 * kPage, 0);
    EXPECT_EQ(cache.FindPrefix(prefix, text).tokens, 0);
    CachedTokens first = cache.Fork(prefix);
    EXPECT_EQ(cache.Adopt(first, text), 0);
    ASSERT_OK(cache.Reserve(first, 3 * kPage));
    cache.Append(first, text);
    // Whole pages: the last of the text's tokens stand in one that is not full.
    const std::int64_t shared = 3 * kPage - places % kPage;
    EXPECT_EQ(cache.FindPrefix(prefix, text).tokens, shared);
    EXPECT_EQ(cache.FindPrefix(CachedTokens(adapter), text).tokens, 0);
    CachedTokens second = cache.Fork(prefix);
    const std::int64_t used = cache.stats().used_pages;
    EXPECT_EQ(cache.Adopt(second, text), shared);
    EXPECT_EQ(cache.stats().used_pages, used);
    EXPECT_EQ(second.length(), shared);
    for (std::int64_t place = 0; place < places; ++place)
      EXPECT_EQ(FirstOfKey(cache, second, 0, 1, place), static_cast<float>(place));
    cache.Truncate(second, 0);
    EXPECT_EQ(second.places(), places);
    cache.Close(first);
    cache.Close(second);
    EXPECT_EQ(cache.stats().used_pages, (places + kPage - 1) / kPage);
    EXPECT_EQ(cache.FindPrefix(prefix, text).tokens, shared);
    EXPECT_EQ(cache.FindPrefix(prefix, text).idle_pages, 3);
    cache.Close(prefix);
    cache.Forget(adapter);
    EXPECT_EQ(cache.stats().free_pages, 20);
  }
}

TEST_P(Caching, AnAdapterIsForgottenAlone) {
  KvCache cache = Cache(10, 10);
  const std::vector<TokenId> text = Tokens(2 * kPage, 0);
  for (const AdapterId adapter : {AdapterId::kNone, AdapterId{0}, AdapterId{1}}) {
    CachedTokens sequence(adapter);
    ASSERT_OK(Put(cache, sequence, text));
    cache.Truncate(sequence, 0);
  }
  cache.Forget(AdapterId{0});
  EXPECT_EQ(cache.FindPrefix(CachedTokens(AdapterId{0}), text).tokens, 0);
  EXPECT_EQ(cache.FindPrefix(CachedTokens(AdapterId{1}), text).tokens, 2 * kPage);
  EXPECT_EQ(cache.FindPrefix(CachedTokens(AdapterId::kNone), text).tokens, 2 * kPage);
  EXPECT_EQ(cache.stats().idle_pages, 4);
}

// Sequences that begin alike, go back, fork, end, in a cache that is too small: every position
// always holds the key of its own past.
class RandomLife {
 public:
  // Sequences of one adapter begin with a prefix of so many places.
  RandomLife(KvCache& cache, std::uint64_t seed, std::int64_t prefix) : cache_(cache), rng_(seed) {
    if (prefix == 0) return;
    EXPECT_OK(cache_.Reserve(prefix_, prefix));
    for (std::int64_t place = 0; place < prefix; ++place)
      FirstOfKey(cache_, prefix_, 0, 1, place) = PrefixKey(place);
    cache_.AppendPrefix(prefix_, prefix);
  }

  void Step() {
    if (sequences_.empty() || rng_.Below(6) == 0) return Open();
    const auto at = static_cast<std::size_t>(rng_.Below(sequences_.size()));
    Sequence& one = sequences_[at];
    switch (rng_.Below(6)) {
      case 0: return Close(at);
      case 1:
        cache_.Truncate(one.cached, static_cast<std::int64_t>(rng_.Below(one.tokens.size() + 1)));
        return one.tokens.resize(static_cast<std::size_t>(one.cached.length()));
      case 2: return sequences_.push_back({cache_.Fork(one.cached), one.tokens});
      default: return Extend(at);
    }
  }
  void CheckAll() const {
    for (const Sequence& one : sequences_) {
      ASSERT_EQ(one.cached.length(), static_cast<std::int64_t>(one.tokens.size()));
      for (std::int64_t place = 0; place < one.cached.prefix(); ++place)
        ASSERT_EQ(FirstOfKey(cache_, one.cached, 0, 1, place), PrefixKey(place));
      std::uint64_t past = static_cast<std::uint64_t>(one.cached.adapter()) + 5;
      for (std::size_t i = 0; i < one.tokens.size(); ++i) {
        past = Extended(past, one.tokens[i]);
        ASSERT_EQ(FirstOfKey(cache_, one.cached, 0, 1, PlaceOf(one, i)), Number(past));
      }
    }
  }
  void CloseAll() {
    while (!sequences_.empty()) Close(0);
    cache_.Close(prefix_);
  }

 private:
  struct Sequence {
    CachedTokens cached;
    std::vector<TokenId> tokens;
  };

  static std::uint64_t Extended(std::uint64_t past, TokenId token) {
    return (past ^ static_cast<std::uint64_t>(token)) * 0x9e3779b97f4a7c15ULL + (past >> 40);
  }
  static float Number(std::uint64_t past) { return static_cast<float>(past >> 41); }
  static float PrefixKey(std::int64_t place) { return -1.0F - static_cast<float>(place); }
  static std::int64_t PlaceOf(const Sequence& one, std::size_t token) {
    return one.cached.prefix() + static_cast<std::int64_t>(token);
  }

  void Open() {
    const AdapterId adapter{Small(2)};
    const bool begins = adapter == prefix_.adapter();
    sequences_.push_back({begins ? cache_.Fork(prefix_) : CachedTokens(adapter), {}});
  }
  std::int64_t Small(std::uint64_t n) { return static_cast<std::int64_t>(rng_.Below(n)); }
  void Close(std::size_t at) {
    cache_.Close(sequences_[at].cached);
    sequences_.erase(sequences_.begin() + static_cast<std::ptrdiff_t>(at));
  }
  void Extend(std::size_t at) {
    Sequence& one = sequences_[at];
    // Runs of one token out of two: pasts often meet.
    const std::vector<TokenId> more(static_cast<std::size_t>(1 + Small(150)),
                                    static_cast<TokenId>(Small(2)));
    const auto adopted = static_cast<std::size_t>(cache_.Adopt(one.cached, more));
    const std::vector<TokenId> rest(more.begin() + static_cast<std::ptrdiff_t>(adopted),
                                    more.end());
    one.tokens.insert(one.tokens.end(), more.begin(),
                      more.begin() + static_cast<std::ptrdiff_t>(adopted));
    const std::int64_t length = one.cached.length();
    if (!cache_.Reserve(one.cached, length + static_cast<std::int64_t>(rest.size())).ok()) {
      ++refused;
      return Close(at);
    }
    one.tokens.insert(one.tokens.end(), rest.begin(), rest.end());
    std::uint64_t past = static_cast<std::uint64_t>(one.cached.adapter()) + 5;
    for (std::size_t i = 0; i < one.tokens.size(); ++i) {
      past = Extended(past, one.tokens[i]);
      if (static_cast<std::int64_t>(i) < length) continue;
      FirstOfKey(cache_, one.cached, 0, 1, PlaceOf(one, i)) = Number(past);
    }
    cache_.Append(one.cached, rest);
  }

 public:
  int refused = 0;

 private:
  KvCache& cache_;
  Rng rng_;
  CachedTokens prefix_{AdapterId{1}};
  std::vector<Sequence> sequences_;
};

TEST_P(Caching, EveryPositionHoldsItsOwnPastWhateverHappens) {
  for (const auto& [seed, prefix] : {std::pair<std::uint64_t, std::int64_t>{1, 0},
                                     {2, 0},
                                     {3, 10},
                                     {4, kPage},
                                     {5, kPage + 3}}) {
    SCOPED_TRACE(prefix);
    KvCache cache = Cache(16, 12);
    RandomLife life(cache, seed, prefix);
    for (int step = 0; step < 600; ++step) {
      life.Step();
      life.CheckAll();
      if (HasFatalFailure()) return;
    }
    life.CloseAll();
    const model::CacheStats stats = cache.stats();
    EXPECT_EQ(stats.used_pages, 0);
    EXPECT_GT(life.refused, 0);
    EXPECT_GT(stats.evicted_pages, 0);
    EXPECT_GT(stats.copied_pages, 0);
    EXPECT_GT(stats.reused_tokens, 0);
    CachedTokens all;  // no page was lost
    EXPECT_OK(cache.Reserve(all, 16 * kPage));
    cache.Truncate(all, 0);
  }
}

}  // namespace
}  // namespace metier::engine
