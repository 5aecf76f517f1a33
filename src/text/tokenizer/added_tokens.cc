#include "text/tokenizer/added_tokens.h"

#include <algorithm>

#include "text/tokenizer/unicode.h"

namespace metier::text {

void AddedTokenMatcher::Add(const AddedToken& token, std::string_view spelling) {
  if (spelling.empty()) return;
  trie_.Insert(spelling, token.id);
  starts_[static_cast<unsigned char>(spelling[0])] = true;
  kinds_[token.id] = {token.single_word, token.lstrip, token.rstrip};
}

bool AddedTokenMatcher::Find(std::string_view text, std::size_t from, std::size_t floor,
                             Match& match) const {
  if (trie_.empty()) return false;
  for (std::size_t at = from; at < text.size(); ++at) {
    if (!starts_[static_cast<unsigned char>(text[at])]) continue;
    std::size_t longest = 0;
    TokenId token = -1;
    std::uint32_t node = Trie::kRoot;
    for (std::size_t end = at; end < text.size();) {
      node = trie_.Step(node, text[end]);
      if (node == Trie::kNowhere) break;
      ++end;
      if (trie_.Value(node) < 0) continue;
      longest = end;
      token = trie_.Value(node);
    }
    if (token < 0) continue;
    const Kind kind = kinds_.at(token);
    match = {at, longest, longest, at, longest, token};
    const bool word_before = at > 0 && IsWord(DecodeLastChar(text.substr(0, at)).code);
    const bool word_behind = longest < text.size() && IsWord(DecodeChar(text, longest).code);
    if (kind.single_word && (word_before || word_behind)) {
      match.token = -1;
      return true;
    }
    while (kind.lstrip && match.begin > floor) {
      const DecodedChar c = DecodeLastChar(text.substr(0, match.begin));
      if (!IsWhitespace(c.code)) break;
      match.begin -= std::min<std::size_t>(c.bytes, match.begin - floor);
    }
    while (kind.rstrip && match.end < text.size()) {
      const DecodedChar c = DecodeChar(text, match.end);
      if (!IsWhitespace(c.code)) break;
      match.end += c.bytes;
    }
    match.search_on = match.end;
    return true;
  }
  return false;
}

}  // namespace metier::text
