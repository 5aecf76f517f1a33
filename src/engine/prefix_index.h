// engine/prefix_index.h - finds full pages of the KV cache by the tokens that they continue.
//
// A page is known by its own tokens and the page before it, so equal tokens on equal parents are
// equal all the way to the start; a hash only says where to look. Pages form trees, one root for
// each (adapter, first page).
//
// Idle pages, which no sequence holds, stand in a line, the longest unused first. A sequence holds
// a page only with all pages before it and lets go of the last one first, so a page stands in front
// of its parent: whoever takes from the front takes leaves.
//
// Threads: one at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kernel_table.h"
#include "model/backend.h"

namespace metier::engine {

using PageId = std::int32_t;
inline constexpr PageId kNoPage = -1;

// Of a page's tokens [kPageTokens]; `before` is the parent's hash, or the adapter for a first page.
using PageHash = std::uint64_t (*)(std::uint64_t before, std::span<const model::TokenId> tokens);
std::uint64_t HashPage(std::uint64_t before, std::span<const model::TokenId> tokens);

class PrefixIndex {
 public:
  // Equal content is found with any hash, faster with a good one.
  explicit PrefixIndex(PageHash hash = &HashPage) : hash_(hash) {}

  // The page with exactly `tokens` [kPageTokens] after `parent` (kNoPage: at the start), or
  // kNoPage.
  PageId Find(model::AdapterId adapter, PageId parent,
              std::span<const model::TokenId> tokens) const;

  // Later, ids up to `page` are added without an allocation.
  void MakeRoom(PageId page);
  // From now on `page` is found. Requires that it is not known, that its content is not either, and
  // that `parent` is known. Copies the tokens. Allocates only for ids that had no room.
  void Add(PageId page, model::AdapterId adapter, PageId parent,
           std::span<const model::TokenId> tokens);
  // Forgets a leaf, wherever it stands.
  void Remove(PageId page);

  bool Knows(PageId page) const { return S(page) < nodes_.size() && nodes_[S(page)].known; }
  // Requires a known page, as do the next two.
  bool IsLeaf(PageId page) const { return nodes_[S(page)].children == 0; }
  model::AdapterId AdapterOf(PageId page) const { return nodes_[S(page)].adapter; }
  bool IsIdle(PageId page) const { return nodes_[S(page)].idle; }

  // No sequence holds the page any more: it joins the end of the line. Or one does again.
  void StartIdle(PageId page);
  void StopIdle(PageId page);
  // The front of the line, a leaf, and the page behind an idle one; kNoPage: there is none.
  PageId Oldest() const { return first_; }
  PageId After(PageId page) const { return nodes_[S(page)].later; }
  std::int64_t idle() const { return idle_; }

 private:
  struct Node {
    std::array<model::TokenId, kernels::kPageTokens> tokens{};
    model::AdapterId adapter = model::AdapterId::kNone;
    PageId parent = kNoPage;
    std::int32_t children = 0;
    std::uint64_t hash = 0;
    PageId next_in_bucket = kNoPage;
    PageId earlier = kNoPage;  // in the line
    PageId later = kNoPage;
    bool known = false;
    bool idle = false;
  };

  static std::size_t S(PageId page) { return static_cast<std::size_t>(page); }
  std::uint64_t HashOf(model::AdapterId adapter, PageId parent,
                       std::span<const model::TokenId> tokens) const;
  PageId& Bucket(std::uint64_t hash) { return buckets_[hash & (buckets_.size() - 1)]; }

  PageHash hash_;
  std::vector<Node> nodes_;      // by PageId
  std::vector<PageId> buckets_;  // heads of chains; a power of two of them
  PageId first_ = kNoPage;
  PageId last_ = kNoPage;
  std::int64_t idle_ = 0;
};

}  // namespace metier::engine
