#include "engine/kv_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/check.h"
#include "kernels/kernel_table.h"

namespace metier::engine {
namespace {

constexpr auto kPage = static_cast<std::int64_t>(kernels::kPageTokens);

std::int64_t PagesFor(std::int64_t tokens) { return (tokens + kPage - 1) / kPage; }

}  // namespace

void CachedTokens::FreeFloats::operator()(float* floats) const { std::free(floats); }

KvCache::KvCache(const model::ModelSpec& spec, std::uint64_t max_bytes)
    : layers_(static_cast<std::size_t>(spec.layers)),
      kv_heads_(static_cast<std::size_t>(spec.kv_heads)),
      head_dim_(static_cast<std::size_t>(spec.head_dim)),
      page_floats_(layers_ * 2 * kv_heads_ * kernels::kPageTokens * head_dim_),
      max_bytes_(max_bytes) {}

Status KvCache::Reserve(CachedTokens& sequence, std::int64_t tokens) {
  const std::int64_t wanted = PagesFor(tokens);
  while (static_cast<std::int64_t>(sequence.pages_.size()) < wanted) {
    if ((pages_used_ + 1) * page_bytes() > max_bytes_) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("the KV cache is full: {} pages of {} tokens ({} bytes each) are in "
                               "use, the limit is {} bytes, and {} tokens of this sequence need "
                               "{} pages; close sequences, shorten the text or raise the limit",
                               pages_used_, kPage, page_bytes(), max_bytes_, tokens, wanted));
    }
    CachedTokens::Page page;
    if (!free_.empty()) {
      page = std::move(free_.back());
      free_.pop_back();
    } else {
      constexpr std::size_t kAlignment = 64;
      const std::size_t bytes = (page_bytes() + kAlignment - 1) / kAlignment * kAlignment;
      page.reset(static_cast<float*>(std::aligned_alloc(kAlignment, bytes)));
      if (page == nullptr) {
        return Error(ErrorCode::kResourceExhausted,
                     fmt::format("no memory for a page of {} bytes of the KV cache, beside the {} "
                                 "bytes in use",
                                 page_bytes(), used_bytes()));
      }
    }
    sequence.pages_.push_back(std::move(page));
    ++pages_used_;
  }
  return Ok();
}

void KvCache::SetLength(CachedTokens& sequence, std::int64_t tokens) const {
  METIER_CHECK(PagesFor(tokens) <= static_cast<std::int64_t>(sequence.pages_.size()),
               "more tokens than were reserved");
  sequence.length_ = tokens;
}

void KvCache::Truncate(CachedTokens& sequence, std::int64_t tokens) {
  METIER_CHECK(tokens >= 0, "a negative length");
  sequence.length_ = std::min(sequence.length_, tokens);
  while (static_cast<std::int64_t>(sequence.pages_.size()) > PagesFor(tokens)) {
    free_.push_back(std::move(sequence.pages_.back()));
    sequence.pages_.pop_back();
    --pages_used_;
  }
}

std::size_t KvCache::Offset(std::int64_t layer, std::int64_t head) const {
  return (static_cast<std::size_t>(layer) * 2 * kv_heads_ + static_cast<std::size_t>(head)) *
         kernels::kPageTokens * head_dim_;
}

float* KvCache::Key(const CachedTokens& sequence, std::int64_t layer, std::int64_t head,
                    std::int64_t position) const {
  float* page = sequence.pages_[static_cast<std::size_t>(position / kPage)].get();
  return page + Offset(layer, head) + static_cast<std::size_t>(position % kPage) * head_dim_;
}

float* KvCache::Value(const CachedTokens& sequence, std::int64_t layer, std::int64_t head,
                      std::int64_t position) const {
  return Key(sequence, layer, head + static_cast<std::int64_t>(kv_heads_), position);
}

void KvCache::Pages(const CachedTokens& sequence, std::int64_t layer, std::int64_t head,
                    std::int64_t tokens, std::vector<const float*>& keys,
                    std::vector<const float*>& values) const {
  keys.clear();
  values.clear();
  for (std::int64_t page = 0; page < PagesFor(tokens); ++page) {
    keys.push_back(Key(sequence, layer, head, page * kPage));
    values.push_back(Value(sequence, layer, head, page * kPage));
  }
}

}  // namespace metier::engine
