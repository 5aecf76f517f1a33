// text/tokenizer/charsmap.h - SentencePiece's precompiled normalisation table.
//
//   u32 size | size bytes: a double-array trie (darts-clone units, u32 each) | replacements, each
//   ended by a zero byte; a leaf's value is the offset of its replacement
//
// Reference: sentencepiece, src/normalizer.cc; darts-clone's unit layout.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace metier::text {

class Charsmap {
 public:
  // kDataCorrupt: the sizes do not fit each other, or no final zero byte. Units are checked as they
  // are used.
  static Result<Charsmap> Parse(std::string_view bytes);

  struct Match {
    std::size_t bytes = 0;  // of the text that is replaced; 0: none
    std::string_view replacement;
  };
  // The longest entry that begins the text.
  Match Longest(std::string_view text) const;
  // The replacement of the shortest entry that begins the text: what the tokenizers library applies
  // to a grapheme or character.
  std::optional<std::string_view> Shortest(std::string_view text) const;

 private:
  template <class Visit>
  void Walk(std::string_view text, Visit&& visit) const;

  std::vector<std::uint32_t> units_;
  std::string replacements_;
};

}  // namespace metier::text
