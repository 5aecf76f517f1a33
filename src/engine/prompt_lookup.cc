#include "engine/prompt_lookup.h"

#include <algorithm>

#include "base/check.h"

namespace metier::engine {

using text::TokenId;

PromptLookup::PromptLookup(const PromptLookupOptions& options) : options_(options) {
  METIER_CHECK(options.min_match >= 1 && options.min_match <= options.max_match,
               "matches of no length");
}

void PromptLookup::Begin(std::span<const TokenId> tokens) {
  tokens_.clear();
  hashes_.clear();
  ends_.clear();
  Extend(tokens);
}

// The tokens at the end are entered when another follows: before, there is nothing to propose, and
// they would match themselves.
void PromptLookup::Extend(std::span<const TokenId> tokens) {
  for (const TokenId token : tokens) {
    for (std::size_t n = options_.min_match; n <= hashes_.size(); ++n)
      ends_[hashes_[n - 1]] = tokens_.size();
    tokens_.push_back(token);
    HashSuffixes();
  }
}

void PromptLookup::HashSuffixes() {
  hashes_.resize(std::min(options_.max_match, tokens_.size()));
  std::uint64_t hash = 0;
  for (std::size_t n = 1; n <= hashes_.size(); ++n) {
    // FNV-1a over whole tokens, and a shift that brings high bits to where the next token is added.
    hash = (hash ^ static_cast<std::uint32_t>(tokens_[tokens_.size() - n])) * 0x100000001b3ULL;
    hash ^= hash >> 29;
    hashes_[n - 1] = hash + n;
  }
}

bool PromptLookup::SuffixStandsAt(std::size_t end, std::size_t length) const {
  const auto n = static_cast<std::ptrdiff_t>(length);
  const auto found = tokens_.begin() + static_cast<std::ptrdiff_t>(end);
  return end >= length && std::equal(tokens_.end() - n, tokens_.end(), found - n);
}

Result<std::vector<TokenId>> PromptLookup::Propose(std::int64_t most, const Sampler& /*sampler*/) {
  std::vector<TokenId> proposals;
  for (std::size_t n = hashes_.size(); n >= options_.min_match; --n) {
    const auto found = ends_.find(hashes_[n - 1]);
    if (found == ends_.end() || !SuffixStandsAt(found->second, n)) continue;
    for (std::size_t at = found->second; proposals.size() < static_cast<std::size_t>(most); ++at) {
      proposals.push_back(at < tokens_.size() ? tokens_[at] : proposals[at - tokens_.size()]);
    }
    break;
  }
  return proposals;
}

}  // namespace metier::engine
