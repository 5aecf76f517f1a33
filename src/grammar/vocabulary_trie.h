// grammar/vocabulary_trie.h - the tokens of a vocabulary by their bytes, as a tree that is walked
// in one pass.
//
// Nodes stand in the order of a walk that goes down first: what begins like a node stands right
// behind it, and `skip` is behind all of that. A branch that a grammar refuses is one jump.
//
// Threads: immutable.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/tokenizer.h"

namespace metier::grammar {

using text::TokenId;

class VocabularyTrie {
 public:
  struct Node {
    std::uint8_t byte = 0;
    std::uint16_t depth = 0;   // bytes before it
    std::int32_t skip = 0;     // the next node that does not begin like it
    std::int32_t tokens = -1;  // those that end here: the first in own_tokens(), or -1
  };
  // A token, and whether the one behind it has the same bytes.
  struct Token {
    TokenId id = 0;
    bool more = false;
  };

  // Of ids and their bytes; tokens without bytes are no part of it. Tokens longer than 65,535 bytes
  // are left out.
  VocabularyTrie(std::vector<std::pair<TokenId, std::string_view>> tokens, std::int64_t vocab);
  // Of all tokens but the special ones.
  static VocabularyTrie Of(const text::Tokenizer& tokenizer);

  std::span<const Node> nodes() const { return nodes_; }
  std::span<const Token> own_tokens() const { return tokens_; }
  std::int64_t vocab() const { return vocab_; }
  std::int32_t longest() const { return longest_; }  // bytes of a token
  // The bytes of a token; "" of one that is no part of it.
  std::string_view BytesOf(TokenId id) const;

 private:
  std::vector<Node> nodes_;
  std::vector<Token> tokens_;
  std::string bytes_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> places_;  // of each id, in bytes_
  std::int64_t vocab_ = 0;
  std::int32_t longest_ = 0;
};

}  // namespace metier::grammar
