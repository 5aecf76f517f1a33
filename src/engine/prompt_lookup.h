// engine/prompt_lookup.h - proposes what followed the last tokens when they stood in the text
// before (Saxena 2023, "Prompt lookup decoding"): summaries, edits and code repeat what they read.
//
// For each length n from max_match down to min_match, an index from the hash of n tokens to the
// newest place where they end. One token costs max_match hashes and as many insertions, a proposal
// as many look-ups, however long the text. About 40 bytes a token and length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/proposer.h"

namespace metier::engine {

// One token alone repeats by chance too often: proposals after it are seldom right.
struct PromptLookupOptions {
  std::size_t min_match = 2;  // tokens; 1 <= min_match <= max_match
  std::size_t max_match = 4;
};

class PromptLookup : public Proposer {
 public:
  // Requires valid options.
  explicit PromptLookup(const PromptLookupOptions& options = {});

  void Begin(std::span<const text::TokenId> tokens) override;
  void Extend(std::span<const text::TokenId> tokens) override;
  // The longest match, the newest of equally long ones. A match that overlaps the end repeats:
  // after "a b a b" comes "a b a b a b ...".
  Result<std::vector<text::TokenId>> Propose(std::int64_t most, const Sampler& sampler) override;

 private:
  // hashes_[n - 1] of the last n tokens, n up to max_match or the text's length.
  void HashSuffixes();
  bool SuffixStandsAt(std::size_t end, std::size_t length) const;

  PromptLookupOptions options_;
  std::vector<text::TokenId> tokens_;
  std::vector<std::uint64_t> hashes_;
  // To the place behind the newest such tokens. Hashes of different tokens may collide: what is
  // found is compared, and what a collision hides is only a proposal less.
  std::unordered_map<std::uint64_t, std::size_t> ends_;
};

}  // namespace metier::engine
