// grammar/any_string_tokens.h - what a vocabulary can do inside of a JSON string of any characters.
//
// Most tokens stay inside of it, whatever is around the string: they are one mask, made once. Only
// tokens that have the closing quote in them have to be asked what comes behind.
//
// Threads: any; masks for short rests are made when they are first asked for.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <vector>

#include "grammar/automata/dfa.h"
#include "grammar/vocabulary_trie.h"

namespace metier::grammar {

class AnyStringTokens {
 public:
  // `content`: AnyStringContent or AnyNameContent; borrowed no longer than this call.
  AnyStringTokens(const VocabularyTrie& trie, const Dfa& content);

  // Tokens that stay inside, of at most `most` characters (negative: of any number), by id: bit
  // id % 64 of word id / 64. Lives as long as this.
  std::span<const std::uint64_t> Inside(std::int32_t most) const;
  // Those that close the string.
  const VocabularyTrie& closing() const { return closing_; }

 private:
  std::size_t words_;
  // Of each token that stays inside: the characters that begin in it.
  std::vector<std::pair<TokenId, std::int32_t>> inside_;
  std::int32_t longest_ = 0;  // characters
  std::vector<std::uint64_t> all_;
  VocabularyTrie closing_;
  mutable std::mutex mutex_;
  mutable std::map<std::int32_t, std::vector<std::uint64_t>> limited_;
};

}  // namespace metier::grammar
