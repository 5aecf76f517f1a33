#include "engine/prefix_index.h"

#include <algorithm>

#include "base/check.h"

namespace metier::engine {

using model::AdapterId;
using model::TokenId;

// Multiply and fold, token by token (the constants are SplitMix64's).
std::uint64_t HashPage(std::uint64_t before, std::span<const TokenId> tokens) {
  std::uint64_t hash = before ^ 0x9e3779b97f4a7c15ULL;
  for (const TokenId token : tokens) {
    hash = (hash ^ static_cast<std::uint32_t>(token)) * 0xbf58476d1ce4e5b9ULL;
    hash ^= hash >> 31;
  }
  return hash;
}

std::uint64_t PrefixIndex::HashOf(AdapterId adapter, PageId parent,
                                  std::span<const TokenId> tokens) const {
  const std::uint64_t before =
      parent == kNoPage ? static_cast<std::uint64_t>(adapter) : nodes_[S(parent)].hash;
  return hash_(before, tokens);
}

PageId PrefixIndex::Find(AdapterId adapter, PageId parent, std::span<const TokenId> tokens) const {
  METIER_DCHECK(tokens.size() == kernels::kPageTokens, "pages are found when they are full");
  if (buckets_.empty()) return kNoPage;
  const std::uint64_t hash = HashOf(adapter, parent, tokens);
  PageId page = buckets_[hash & (buckets_.size() - 1)];
  for (; page != kNoPage; page = nodes_[S(page)].next_in_bucket) {
    const Node& node = nodes_[S(page)];
    if (node.hash == hash && node.adapter == adapter && node.parent == parent &&
        std::equal(tokens.begin(), tokens.end(), node.tokens.begin())) {
      return page;
    }
  }
  return kNoPage;
}

void PrefixIndex::MakeRoom(PageId page) {
  if (S(page) >= nodes_.size()) nodes_.resize(S(page) + 1);
  if (nodes_.size() <= buckets_.size()) return;
  std::size_t count = std::max<std::size_t>(buckets_.size(), 8);
  while (count < nodes_.size()) count *= 2;
  buckets_.assign(count, kNoPage);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (!nodes_[i].known) continue;
    PageId& head = Bucket(nodes_[i].hash);
    nodes_[i].next_in_bucket = head;
    head = static_cast<PageId>(i);
  }
}

void PrefixIndex::Add(PageId page, AdapterId adapter, PageId parent,
                      std::span<const TokenId> tokens) {
  METIER_DCHECK(parent == kNoPage || Knows(parent), "a page after an unknown one");
  MakeRoom(page);
  Node& node = nodes_[S(page)];
  METIER_CHECK(!node.known, "a page known twice");
  std::copy(tokens.begin(), tokens.end(), node.tokens.begin());
  node.adapter = adapter;
  node.parent = parent;
  node.children = 0;
  node.hash = HashOf(adapter, parent, tokens);
  node.known = true;
  PageId& head = Bucket(node.hash);
  node.next_in_bucket = head;
  head = page;
  if (parent != kNoPage) ++nodes_[S(parent)].children;
}

void PrefixIndex::Remove(PageId page) {
  Node& node = nodes_[S(page)];
  METIER_CHECK(node.known && node.children == 0, "only a leaf can be forgotten");
  if (node.idle) StopIdle(page);
  PageId* link = &Bucket(node.hash);
  while (*link != page) link = &nodes_[S(*link)].next_in_bucket;
  *link = node.next_in_bucket;
  if (node.parent != kNoPage) --nodes_[S(node.parent)].children;
  node.known = false;
}

void PrefixIndex::StartIdle(PageId page) {
  Node& node = nodes_[S(page)];
  METIER_DCHECK(node.known && !node.idle, "is idle already, or unknown");
  node.idle = true;
  node.earlier = last_;
  node.later = kNoPage;
  (last_ == kNoPage ? first_ : nodes_[S(last_)].later) = page;
  last_ = page;
  ++idle_;
}

void PrefixIndex::StopIdle(PageId page) {
  Node& node = nodes_[S(page)];
  METIER_DCHECK(node.idle, "is not idle");
  node.idle = false;
  (node.earlier == kNoPage ? first_ : nodes_[S(node.earlier)].later) = node.later;
  (node.later == kNoPage ? last_ : nodes_[S(node.later)].earlier) = node.earlier;
  --idle_;
}

}  // namespace metier::engine
