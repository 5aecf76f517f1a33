#include "text/tokenizer/trie.h"

namespace metier::text {

void Trie::Insert(std::string_view text, TokenId value) {
  std::uint32_t node = kRoot;
  for (const char byte : text) {
    std::uint32_t next = Step(node, byte);
    if (next == kNowhere) {
      next = static_cast<std::uint32_t>(values_.size());
      values_.push_back(-1);
      edges_.Insert(PairMap::Key(node, static_cast<unsigned char>(byte)), next);
    }
    node = next;
  }
  if (values_[node] < 0) values_[node] = value;
}

}  // namespace metier::text
