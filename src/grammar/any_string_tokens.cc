#include "grammar/any_string_tokens.h"

#include <algorithm>
#include <utility>

namespace metier::grammar {
namespace {

enum class Way { kInside, kCloses, kImpossible };

// How a token goes through the inside of a string, from between two characters.
std::pair<Way, std::int32_t> WayOf(std::string_view bytes, const Dfa& any) {
  std::int32_t state = Dfa::kStart;
  std::int32_t characters = 0;
  for (const char byte : bytes) {
    if (state == Dfa::kStart && byte == '"') return {Way::kCloses, characters};
    characters += state == Dfa::kStart ? 1 : 0;
    state = any.Next(state, static_cast<std::uint8_t>(byte));
    if (state == Dfa::kNone) return {Way::kImpossible, 0};
  }
  return {Way::kInside, characters};
}

std::vector<std::pair<TokenId, std::string_view>> Closing(const VocabularyTrie& trie,
                                                          const Dfa& any) {
  std::vector<std::pair<TokenId, std::string_view>> tokens;
  for (const VocabularyTrie::Token& token : trie.own_tokens()) {
    const std::string_view bytes = trie.BytesOf(token.id);
    if (WayOf(bytes, any).first == Way::kCloses) tokens.emplace_back(token.id, bytes);
  }
  return tokens;
}

void SetBit(std::vector<std::uint64_t>& words, TokenId id) {
  words[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << (id % 64);
}

}  // namespace

AnyStringTokens::AnyStringTokens(const VocabularyTrie& trie, const Dfa& content)
    : words_(static_cast<std::size_t>((trie.vocab() + 63) / 64)),
      all_(words_),
      closing_(Closing(trie, content), trie.vocab()) {
  for (const VocabularyTrie::Token& token : trie.own_tokens()) {
    const auto [way, characters] = WayOf(trie.BytesOf(token.id), content);
    if (way != Way::kInside) continue;
    inside_.emplace_back(token.id, characters);
    longest_ = std::max(longest_, characters);
    SetBit(all_, token.id);
  }
}

std::span<const std::uint64_t> AnyStringTokens::Inside(std::int32_t most) const {
  if (most < 0 || most >= longest_) return all_;
  const std::lock_guard lock(mutex_);
  const auto [found, fresh] = limited_.try_emplace(most);
  if (fresh) {
    found->second.assign(words_, 0);
    for (const auto& [id, characters] : inside_)
      if (characters <= most) SetBit(found->second, id);
  }
  return found->second;
}

}  // namespace metier::grammar
