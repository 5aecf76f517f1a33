// text/tokenizer/added_tokens.h - tokens that are found in the text before anything else happens:
// control tokens and tokens that users added.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer/trie.h"

namespace metier::text {

struct AddedToken {
  TokenId id = -1;
  std::string content;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it in
  bool rstrip = false;       // and behind it
  bool normalized = false;   // searched for in the normalised text, by its normalised content
  bool special = false;      // a control token: left out of decoded text
};

// A stretch of text, or a token in its place.
struct Fragment {
  std::string_view text;
  TokenId token = -1;
};

// Finds the leftmost, of those the longest, match; matches do not overlap.
class AddedTokenMatcher {
 public:
  // `spelling` is what is searched for. The first of equal spellings counts.
  void Add(const AddedToken& token, std::string_view spelling);
  bool empty() const { return trie_.empty(); }

  // Calls visit(Fragment) for the text between the tokens and for the tokens, in order; stretches
  // are not empty.
  template <class Visit>
  void Split(std::string_view text, Visit&& visit) const {
    Split(text, visit, [](TokenId, std::size_t, std::size_t) { return true; });
  }
  // The same, without the tokens for which accept(token, begin, end) of their spelling is false.
  template <class Visit, class Accept>
  void Split(std::string_view text, Visit&& visit, Accept&& accept) const {
    std::size_t begin = 0;  // of the stretch that is not yet handed out
    for (std::size_t at = 0; at < text.size();) {
      Match match;
      if (!Find(text, at, begin, match)) break;
      at = match.search_on;
      if (match.token < 0) continue;
      if (!accept(match.token, match.spelled_begin, match.spelled_end)) {
        at = match.spelled_begin + 1;
        continue;
      }
      if (match.begin > begin) visit(Fragment{text.substr(begin, match.begin - begin), -1});
      visit(Fragment{text.substr(match.begin, match.end - match.begin), match.token});
      begin = match.end;
    }
    if (begin < text.size()) visit(Fragment{text.substr(begin), -1});
  }

 private:
  struct Match {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::size_t search_on = 0;
    std::size_t spelled_begin = 0;  // without the white space around it
    std::size_t spelled_end = 0;
    TokenId token = -1;  // -1: a match that is not wanted, because it is part of a word
  };
  struct Kind {
    bool single_word = false;
    bool lstrip = false;
    bool rstrip = false;
  };
  // The first match at or behind `from`; white space before it is taken back to `floor` at most.
  bool Find(std::string_view text, std::size_t from, std::size_t floor, Match& match) const;

  Trie trie_;
  std::array<bool, 256> starts_{};
  std::unordered_map<TokenId, Kind> kinds_;
};

}  // namespace metier::text
