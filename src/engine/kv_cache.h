// engine/kv_cache.h - keys and values of past tokens, in pages of kernels::kPageTokens tokens.
//
//   one page: for each layer: a block of keys for each head, then one of values for each, as
//   attention streams them in the cache's type (kernels/kv_page.h), with their scales if any: a
//   page says all of its tokens
//
// Attention walks a sequence page by page, so sequences share a past by holding the same pages:
//
//   held  by one sequence or more. Full pages are findable by their tokens (PrefixIndex) and not
//         written any more; a page that several hold is copied before one of them writes.
//   idle  held by none, still findable; given up, the longest unused first, when room is needed.
//   free  memory without content.
//
// Only Keys, Values and Pages know where in a page something lies.
//
// Threads: the owner of a sequence writes different (layer, head, position) from any threads;
// everything else is for one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "base/result.h"
#include "engine/prefix_index.h"
#include "kernels/kv_page.h"
#include "model/backend.h"
#include "model/model_spec.h"

namespace metier::engine {

using kernels::KvType;

// "f32", "bf16", "int8"; nothing for any other name.
std::optional<KvType> KvTypeFromName(std::string_view name);

class KvCache;

// The past of one sequence: its adapter's prefix, if any, then its tokens, each at a place of its
// own. Give pages back with KvCache::Close.
class CachedTokens {
 public:
  // Pasts of different adapters are never shared.
  explicit CachedTokens(model::AdapterId adapter = model::AdapterId::kNone) : adapter_(adapter) {}

  std::int64_t length() const { return places() - prefix_; }
  std::int64_t places() const { return static_cast<std::int64_t>(tokens_.size()); }
  std::int64_t prefix() const { return prefix_; }
  model::AdapterId adapter() const { return adapter_; }

 private:
  friend class KvCache;

  model::AdapterId adapter_;
  std::vector<PageId> pages_;
  std::vector<model::TokenId> tokens_;  // kPrefixToken at each place of the prefix
  std::int64_t prefix_ = 0;
};

struct KvCacheOptions {
  KvType type = KvType::kF32;
  std::uint64_t max_bytes = 0;       // of all pages together
  std::uint64_t max_idle_bytes = 0;  // of them, of pages that no sequence holds
  PageHash hash = &HashPage;
};

class KvCache {
 public:
  // Pages are allocated when needed and kept until the cache ends.
  KvCache(const model::ModelSpec& spec, const KvCacheOptions& options);

  KvType type() const { return type_; }
  // layers * kv_heads * (KeyBytes + ValueBytes) of the type and the heads' dimension.
  std::uint64_t page_bytes() const { return page_bytes_; }
  // Of pages that sequences hold, a shared one counted once.
  std::uint64_t used_bytes() const { return static_cast<std::uint64_t>(held_) * page_bytes_; }
  model::CacheStats stats() const;

  // Memory for what is noted of the first `tokens` tokens, not for their keys and values.
  static void ExpectLength(CachedTokens& sequence, std::int64_t tokens);
  // Says that an adapter's prefix now stands at the first `places` places. Requires them reserved,
  // and an empty sequence.
  void AppendPrefix(CachedTokens& sequence, std::int64_t places);
  // Makes the places of the first `tokens` tokens writable from length() on. kResourceExhausted:
  // over max_bytes, with the numbers; the pages that the sequence has gained by then stay until it
  // is truncated.
  Status Reserve(CachedTokens& sequence, std::int64_t tokens);
  // Says that keys and values of these tokens now stand behind the others. Requires them reserved.
  // A page that became full is findable; where its content was known already, the sequence holds
  // the known page instead of its own.
  void Append(CachedTokens& sequence, std::span<const model::TokenId> tokens);
  // Keeps the first `tokens` and lets go of the pages behind them.
  void Truncate(CachedTokens& sequence, std::int64_t tokens);
  // Lets go of all pages, those of the prefix too.
  void Close(CachedTokens& sequence);

  // The longest beginning of `tokens`, to the end of a page, that this sequence without tokens
  // could adopt.
  model::CachedPrefix FindPrefix(const CachedTokens& sequence,
                                 std::span<const model::TokenId> tokens) const;
  // Appends the longest beginning of `tokens`, to the end of a page, that is known to follow what
  // the sequence holds, and returns its length; 0 where the sequence's tokens end inside a page.
  // Allocates no page.
  std::int64_t Adopt(CachedTokens& sequence, std::span<const model::TokenId> tokens);
  // A sequence with the same past, sharing all pages.
  CachedTokens Fork(const CachedTokens& sequence);
  // Forgets what is known of an adapter that no sequence uses any more.
  void Forget(model::AdapterId adapter);

  // One head's block of keys, or values, in the page of place `position`: what store_key and
  // store_value write into.
  std::byte* Keys(const CachedTokens& sequence, std::int64_t layer, std::int64_t head,
                  std::int64_t position) const;
  std::byte* Values(const CachedTokens& sequence, std::int64_t layer, std::int64_t head,
                    std::int64_t position) const;
  // Appends these blocks of all pages that hold the first `places` places, as attention wants them.
  void Pages(const CachedTokens& sequence, std::int64_t layer, std::int64_t head,
             std::int64_t places, std::vector<const std::byte*>& keys,
             std::vector<const std::byte*>& values) const;

 private:
  struct FreeBytes {
    void operator()(std::byte* bytes) const;
  };
  struct Page {
    std::unique_ptr<std::byte[], FreeBytes> bytes;
    std::int32_t holders = 0;
  };

  std::byte* LayerOf(const CachedTokens& sequence, std::int64_t layer, std::int64_t position) const;
  Page& At(PageId page) { return pages_[static_cast<std::size_t>(page)]; }
  const Page& At(PageId page) const { return pages_[static_cast<std::size_t>(page)]; }
  // A page of the free, a new one, or the longest unused; `tokens` are for the error's message.
  Result<PageId> Take(std::int64_t tokens);
  Status Allocate();  // one more free page
  Status MakeLastPageWritable(CachedTokens& sequence, std::int64_t tokens);
  void ShareFullPage(CachedTokens& sequence);
  // Calls `found` with the known pages after `parent` that hold the beginning of `tokens`, and
  // returns how many they are.
  std::int64_t Follow(model::AdapterId adapter, PageId parent,
                      std::span<const model::TokenId> tokens,
                      FunctionRef<void(PageId)> found) const;
  // The same of tokens that come behind a sequence whose last page, which is not full, holds its
  // prefix alone: of pages that take this one's place.
  std::int64_t FollowPrefix(const CachedTokens& sequence, std::span<const model::TokenId> tokens,
                            FunctionRef<void(PageId)> found) const;
  void Hold(PageId page);
  void Release(PageId page);
  void GiveUp(PageId page);  // an idle leaf becomes free
  void EvictOldest();        // requires an idle page

  KvType type_;
  std::int64_t kv_heads_;
  std::int64_t key_bytes_;    // of one block
  std::int64_t value_bytes_;  // alike
  std::uint64_t page_bytes_;
  std::int64_t max_pages_;
  std::int64_t max_idle_;    // pages
  std::vector<Page> pages_;  // by PageId: all that were ever allocated
  std::vector<PageId> free_;
  std::int64_t held_ = 0;  // pages
  PrefixIndex index_;
  model::CacheStats counters_;
};

}  // namespace metier::engine
