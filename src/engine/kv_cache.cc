#include "engine/kv_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#include "base/check.h"

namespace metier::engine {

using model::AdapterId;
using model::TokenId;

namespace {

constexpr auto kPage = static_cast<std::int64_t>(kernels::kPageTokens);

// No token of a vocabulary: pages of a prefix are known by it.
constexpr TokenId kPrefixToken = -1;

std::int64_t PagesFor(std::int64_t tokens) { return (tokens + kPage - 1) / kPage; }

std::int64_t WholePages(std::uint64_t bytes, std::uint64_t page_bytes) {
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<PageId>::max());
  return static_cast<std::int64_t>(std::min(bytes / page_bytes, kMost));
}

}  // namespace

std::optional<KvType> KvTypeFromName(std::string_view name) {
  if (name == "f32") return KvType::kF32;
  if (name == "bf16") return KvType::kBF16;
  if (name == "int8") return KvType::kInt8;
  return std::nullopt;
}

void KvCache::FreeBytes::operator()(std::byte* bytes) const { std::free(bytes); }

KvCache::KvCache(const model::ModelSpec& spec, const KvCacheOptions& options)
    : type_(options.type),
      kv_heads_(spec.kv_heads),
      key_bytes_(static_cast<std::int64_t>(
          kernels::KeyBytes(type_, static_cast<std::size_t>(spec.head_dim)))),
      value_bytes_(static_cast<std::int64_t>(
          kernels::ValueBytes(type_, static_cast<std::size_t>(spec.head_dim)))),
      page_bytes_(
          static_cast<std::uint64_t>(spec.layers * kv_heads_ * (key_bytes_ + value_bytes_))),
      max_pages_(WholePages(options.max_bytes, page_bytes_)),
      max_idle_(WholePages(options.max_idle_bytes, page_bytes_)),
      index_(options.hash) {}

model::CacheStats KvCache::stats() const {
  model::CacheStats stats = counters_;
  stats.page_tokens = kPage;
  stats.page_bytes = page_bytes_;
  stats.max_pages = max_pages_;
  stats.used_pages = held_;
  stats.idle_pages = index_.idle();
  stats.free_pages = max_pages_ - held_ - index_.idle();
  return stats;
}

void KvCache::Hold(PageId page) {
  if (At(page).holders++ > 0) return;
  ++held_;
  if (index_.Knows(page)) index_.StopIdle(page);
}

void KvCache::Release(PageId page) {
  if (--At(page).holders > 0) return;
  --held_;
  if (!index_.Knows(page)) return free_.push_back(page);
  index_.StartIdle(page);
  if (index_.idle() > max_idle_) EvictOldest();
}

void KvCache::GiveUp(PageId page) {
  index_.Remove(page);
  free_.push_back(page);
}

void KvCache::EvictOldest() {
  GiveUp(index_.Oldest());
  ++counters_.evicted_pages;
}

Status KvCache::Allocate() {
  constexpr std::size_t kAlignment = 64;
  const std::size_t bytes = (page_bytes_ + kAlignment - 1) / kAlignment * kAlignment;
  Page page;
  page.bytes.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, bytes)));
  if (page.bytes == nullptr) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("no memory for a page of {} bytes of the KV cache, beside the {} "
                             "bytes in use",
                             page_bytes_, used_bytes()));
  }
  const auto id = static_cast<PageId>(pages_.size());
  pages_.push_back(std::move(page));
  // Later, nothing is allocated to find a page or to give it back.
  index_.MakeRoom(id);
  free_.reserve(pages_.capacity());
  free_.push_back(id);
  return Ok();
}

Result<PageId> KvCache::Take(std::int64_t tokens) {
  Status grown = Ok();
  if (free_.empty() && static_cast<std::int64_t>(pages_.size()) < max_pages_) grown = Allocate();
  if (free_.empty() && index_.Oldest() != kNoPage) EvictOldest();
  if (free_.empty()) {
    METIER_TRY(std::move(grown));
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("the KV cache is full: {} pages of {} tokens ({} bytes each) are in "
                             "use, the limit is {} pages, and {} tokens of this sequence need {}; "
                             "close sequences, shorten the text or raise the limit",
                             held_, kPage, page_bytes_, max_pages_, tokens, PagesFor(tokens)));
  }
  const PageId page = free_.back();
  free_.pop_back();
  return page;
}

// Where the sequence ends inside a page that others may read.
Status KvCache::MakeLastPageWritable(CachedTokens& sequence, std::int64_t tokens) {
  if (sequence.places() % kPage == 0) return Ok();
  PageId& last = sequence.pages_[static_cast<std::size_t>(sequence.places() / kPage)];
  const bool alone = At(last).holders == 1;
  if (alone && !index_.Knows(last)) return Ok();
  if (alone && index_.IsLeaf(last)) {  // cheaper to forget than to copy, and never out of room
    index_.Remove(last);
    return Ok();
  }
  METIER_ASSIGN(const PageId copy, Take(tokens));
  std::memcpy(At(copy).bytes.get(), At(last).bytes.get(), page_bytes_);
  ++counters_.copied_pages;
  Hold(copy);
  Release(std::exchange(last, copy));
  return Ok();
}

void KvCache::ExpectLength(CachedTokens& sequence, std::int64_t tokens) {
  const std::int64_t places = sequence.prefix() + tokens;
  sequence.tokens_.reserve(static_cast<std::size_t>(places));
  sequence.pages_.reserve(static_cast<std::size_t>(PagesFor(places)));
}

Status KvCache::Reserve(CachedTokens& sequence, std::int64_t tokens) {
  METIER_TRY(MakeLastPageWritable(sequence, tokens));
  const std::int64_t pages = PagesFor(sequence.prefix() + tokens);
  while (static_cast<std::int64_t>(sequence.pages_.size()) < pages) {
    METIER_ASSIGN(const PageId page, Take(tokens));
    Hold(page);
    sequence.pages_.push_back(page);
  }
  return Ok();
}

void KvCache::Append(CachedTokens& sequence, std::span<const TokenId> tokens) {
  METIER_CHECK(PagesFor(sequence.places() + static_cast<std::int64_t>(tokens.size())) <=
                   static_cast<std::int64_t>(sequence.pages_.size()),
               "more tokens than were reserved");
  for (const TokenId token : tokens) {
    sequence.tokens_.push_back(token);
    if (sequence.places() % kPage == 0) ShareFullPage(sequence);
  }
}

void KvCache::AppendPrefix(CachedTokens& sequence, std::int64_t places) {
  METIER_CHECK(sequence.places() == 0, "a prefix behind tokens");
  const std::vector<TokenId> marks(static_cast<std::size_t>(places), kPrefixToken);
  Append(sequence, marks);
  sequence.prefix_ = places;
}

void KvCache::ShareFullPage(CachedTokens& sequence) {
  const auto full = static_cast<std::size_t>(sequence.places() / kPage - 1);
  const std::span<const TokenId> tokens =
      std::span<const TokenId>(sequence.tokens_).last(kernels::kPageTokens);
  const PageId parent = full == 0 ? kNoPage : sequence.pages_[full - 1];
  PageId& mine = sequence.pages_[full];
  const PageId known = index_.Find(sequence.adapter_, parent, tokens);
  if (known == kNoPage) return index_.Add(mine, sequence.adapter_, parent, tokens);
  Hold(known);
  Release(std::exchange(mine, known));
}

void KvCache::Truncate(CachedTokens& sequence, std::int64_t tokens) {
  METIER_CHECK(tokens >= 0, "a negative length");
  const std::int64_t places = sequence.prefix() + tokens;
  sequence.tokens_.resize(static_cast<std::size_t>(std::min(sequence.places(), places)));
  while (static_cast<std::int64_t>(sequence.pages_.size()) > PagesFor(places)) {
    Release(sequence.pages_.back());
    sequence.pages_.pop_back();
  }
}

void KvCache::Close(CachedTokens& sequence) {
  sequence.prefix_ = 0;
  Truncate(sequence, 0);
}

std::int64_t KvCache::Follow(AdapterId adapter, PageId parent, std::span<const TokenId> tokens,
                             FunctionRef<void(PageId)> found) const {
  std::int64_t pages = 0;
  for (; tokens.size() >= kernels::kPageTokens; tokens = tokens.subspan(kernels::kPageTokens)) {
    parent = index_.Find(adapter, parent, tokens.first(kernels::kPageTokens));
    if (parent == kNoPage) break;
    found(parent);
    ++pages;
  }
  return pages;
}

std::int64_t KvCache::FollowPrefix(const CachedTokens& sequence, std::span<const TokenId> tokens,
                                   FunctionRef<void(PageId)> found) const {
  const std::int64_t whole = sequence.prefix() / kPage;
  const PageId parent = whole == 0 ? kNoPage : sequence.pages_[static_cast<std::size_t>(whole - 1)];
  const std::int64_t inside = sequence.prefix() % kPage;
  if (inside == 0) return Follow(sequence.adapter_, parent, tokens, found);
  std::vector<TokenId> behind(static_cast<std::size_t>(inside), kPrefixToken);
  behind.insert(behind.end(), tokens.begin(), tokens.end());
  return Follow(sequence.adapter_, parent, behind, found);
}

model::CachedPrefix KvCache::FindPrefix(const CachedTokens& sequence,
                                        std::span<const TokenId> tokens) const {
  std::int64_t idle = 0;
  const std::int64_t pages = FollowPrefix(sequence, tokens, [&](PageId page) {
    if (index_.IsIdle(page)) ++idle;
  });
  if (pages == 0) return {};
  return {.tokens = pages * kPage - sequence.prefix() % kPage, .idle_pages = idle};
}

std::int64_t KvCache::Adopt(CachedTokens& sequence, std::span<const TokenId> tokens) {
  const bool empty = sequence.length() == 0;
  const std::int64_t inside = sequence.places() % kPage;
  if (!empty && inside != 0) return 0;
  // A page that was reserved and has nothing in it is in the way of what is known.
  if (static_cast<std::int64_t>(sequence.pages_.size()) != PagesFor(sequence.places())) return 0;
  if (static_cast<std::int64_t>(tokens.size()) < kPage - inside) return 0;
  const PageId last = sequence.pages_.empty() ? kNoPage : sequence.pages_.back();
  if (inside != 0) sequence.pages_.pop_back();  // the end of the prefix, which others hold, too
  const auto hold = [&](PageId page) {
    Hold(page);
    sequence.pages_.push_back(page);
  };
  const std::int64_t pages =
      empty ? FollowPrefix(sequence, tokens, hold) : Follow(sequence.adapter_, last, tokens, hold);
  if (inside != 0) pages == 0 ? sequence.pages_.push_back(last) : Release(last);
  const std::int64_t count = pages == 0 ? 0 : pages * kPage - inside;
  sequence.tokens_.insert(sequence.tokens_.end(), tokens.begin(), tokens.begin() + count);
  if (empty) ++counters_.prefix_lookups;
  if (empty && count > 0) ++counters_.prefix_hits;
  counters_.reused_tokens += count;
  return count;
}

CachedTokens KvCache::Fork(const CachedTokens& sequence) {
  for (const PageId page : sequence.pages_) Hold(page);
  return sequence;
}

void KvCache::Forget(AdapterId adapter) {
  PageId page = index_.Oldest();
  while (page != kNoPage) {
    const PageId next = index_.After(page);
    if (index_.AdapterOf(page) == adapter) GiveUp(page);
    page = next;
  }
}

std::byte* KvCache::LayerOf(const CachedTokens& sequence, std::int64_t layer,
                            std::int64_t position) const {
  const Page& page = At(sequence.pages_[static_cast<std::size_t>(position / kPage)]);
  return page.bytes.get() + layer * kv_heads_ * (key_bytes_ + value_bytes_);
}

std::byte* KvCache::Keys(const CachedTokens& sequence, std::int64_t layer, std::int64_t head,
                         std::int64_t position) const {
  return LayerOf(sequence, layer, position) + head * key_bytes_;
}

std::byte* KvCache::Values(const CachedTokens& sequence, std::int64_t layer, std::int64_t head,
                           std::int64_t position) const {
  return LayerOf(sequence, layer, position) + kv_heads_ * key_bytes_ + head * value_bytes_;
}

void KvCache::Pages(const CachedTokens& sequence, std::int64_t layer, std::int64_t head,
                    std::int64_t places, std::vector<const std::byte*>& keys,
                    std::vector<const std::byte*>& values) const {
  for (std::int64_t page = 0; page < PagesFor(places); ++page) {
    keys.push_back(Keys(sequence, layer, head, page * kPage));
    values.push_back(Values(sequence, layer, head, page * kPage));
  }
}

}  // namespace metier::engine
