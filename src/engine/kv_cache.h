// engine/kv_cache.h - keys and values of past tokens, in pages of kernels::kPageTokens tokens.
//
//   one page: for each layer: K [kv_heads, kPageTokens, head_dim] f32, then V alike
//
// A sequence owns its pages; attention walks them page by page, so sharing a prefix is a matter of
// two sequences holding the same page.
//
// Threads: the owner of a sequence writes different (layer, head, position) from any threads;
// reserving and releasing are for one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "model/model_spec.h"

namespace metier::engine {

class KvCache;

// The past of one sequence. Give pages back with KvCache::Truncate(sequence, 0).
class CachedTokens {
 public:
  std::int64_t length() const { return length_; }

 private:
  friend class KvCache;
  struct FreeFloats {
    void operator()(float* floats) const;
  };
  using Page = std::unique_ptr<float[], FreeFloats>;

  std::vector<Page> pages_;
  std::int64_t length_ = 0;
};

class KvCache {
 public:
  // Pages are allocated when needed, up to max_bytes over all sequences.
  KvCache(const model::ModelSpec& spec, std::uint64_t max_bytes);

  std::uint64_t page_bytes() const { return page_floats_ * sizeof(float); }
  std::uint64_t used_bytes() const { return pages_used_ * page_bytes(); }

  // Pages for `tokens` tokens in all. kResourceExhausted: over max_bytes, with the numbers; the
  // pages that the sequence has gained by then stay until it is truncated.
  Status Reserve(CachedTokens& sequence, std::int64_t tokens);
  // Says that the first `tokens` are valid now. Requires that many reserved.
  void SetLength(CachedTokens& sequence, std::int64_t tokens) const;
  // Keeps the first `tokens` and gives back the pages behind them, for reuse by any sequence.
  void Truncate(CachedTokens& sequence, std::int64_t tokens);

  // [head_dim] of one position.
  float* Key(const CachedTokens& sequence, std::int64_t layer, std::int64_t head,
             std::int64_t position) const;
  float* Value(const CachedTokens& sequence, std::int64_t layer, std::int64_t head,
               std::int64_t position) const;
  // The pages of one head that hold the first `tokens` tokens, as attention wants them.
  void Pages(const CachedTokens& sequence, std::int64_t layer, std::int64_t head,
             std::int64_t tokens, std::vector<const float*>& keys,
             std::vector<const float*>& values) const;

 private:
  std::size_t Offset(std::int64_t layer, std::int64_t head) const;

  std::size_t layers_;
  std::size_t kv_heads_;
  std::size_t head_dim_;
  std::size_t page_floats_;
  std::uint64_t max_bytes_;
  std::uint64_t pages_used_ = 0;  // in sequences
  std::vector<CachedTokens::Page> free_;
};

}  // namespace metier::engine
