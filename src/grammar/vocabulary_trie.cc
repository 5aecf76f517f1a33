#include "grammar/vocabulary_trie.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace metier::grammar {
namespace {

constexpr std::size_t kLongestToken = std::numeric_limits<std::uint16_t>::max();

}  // namespace

VocabularyTrie::VocabularyTrie(std::vector<std::pair<TokenId, std::string_view>> tokens,
                               std::int64_t vocab)
    : places_(static_cast<std::size_t>(vocab)), vocab_(vocab) {
  std::erase_if(tokens, [](const auto& token) {
    return token.second.empty() || token.second.size() > kLongestToken;
  });
  std::ranges::sort(tokens, [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second < b.second : a.first < b.first;
  });
  std::vector<std::size_t> open;  // nodes on the way to the last one
  const auto close = [&](std::size_t depth) {
    for (; open.size() > depth; open.pop_back())
      nodes_[open.back()].skip = static_cast<std::int32_t>(nodes_.size());
  };
  std::string_view before;
  for (const auto& [id, bytes] : tokens) {
    METIER_CHECK(id >= 0 && id < vocab, "a token of the vocabulary");
    places_[static_cast<std::size_t>(id)] = {static_cast<std::uint32_t>(bytes_.size()),
                                             static_cast<std::uint32_t>(bytes.size())};
    bytes_ += bytes;
    longest_ = std::max(longest_, static_cast<std::int32_t>(bytes.size()));
    if (bytes == before) {
      tokens_.back().more = true;
      tokens_.push_back({id, false});
      continue;
    }
    const auto shared =
        static_cast<std::size_t>(std::ranges::mismatch(before, bytes).in1 - before.begin());
    close(shared);
    for (std::size_t depth = shared; depth < bytes.size(); ++depth) {
      open.push_back(nodes_.size());
      nodes_.push_back(
          {static_cast<std::uint8_t>(bytes[depth]), static_cast<std::uint16_t>(depth)});
    }
    nodes_.back().tokens = static_cast<std::int32_t>(tokens_.size());
    tokens_.push_back({id, false});
    before = bytes;
  }
  close(0);
}

VocabularyTrie VocabularyTrie::Of(const text::Tokenizer& tokenizer) {
  std::vector<std::pair<TokenId, std::string_view>> tokens;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id)
    if (!tokenizer.IsSpecial(id)) tokens.emplace_back(id, tokenizer.TokenBytes(id));
  return {std::move(tokens), tokenizer.vocab_size()};
}

std::string_view VocabularyTrie::BytesOf(TokenId id) const {
  const auto [first, size] = places_[static_cast<std::size_t>(id)];
  return std::string_view(bytes_).substr(first, size);
}

}  // namespace metier::grammar
