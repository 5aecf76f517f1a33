// text/tokenizer/trie.h - which of many strings start at a place of a text.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/tokenizer/vocab.h"

namespace metier::text {

class Trie {
 public:
  static constexpr std::uint32_t kRoot = 0;
  static constexpr std::uint32_t kNowhere = ~0U;

  void Insert(std::string_view text, TokenId value);  // an equal text keeps its first value

  // The node one byte further, or kNowhere.
  std::uint32_t Step(std::uint32_t node, char byte) const {
    const std::uint64_t next = edges_.Find(PairMap::Key(node, static_cast<unsigned char>(byte)));
    return next == PairMap::kAbsent ? kNowhere : static_cast<std::uint32_t>(next);
  }
  // The value of the string that ends at this node, or -1.
  TokenId Value(std::uint32_t node) const { return values_[node]; }
  bool empty() const { return values_.size() == 1; }

 private:
  PairMap edges_;
  std::vector<TokenId> values_ = {-1};
};

}  // namespace metier::text
