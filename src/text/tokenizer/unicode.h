// text/tokenizer/unicode.h - UTF-8 and the character properties that tokenizers ask for.
//
// Properties and normal forms come from utf8proc (Unicode 15). Functions that take text require
// valid UTF-8 (CheckUtf8 first); DecodeChar alone tolerates anything, because tokens of GGUF files
// may hold pieces of characters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace metier::text {

// Bytes of the character that starts with `lead`; 1 for bytes that start none.
constexpr std::size_t CharBytes(unsigned char lead) {
  if (lead < 0xC2) return 1;
  if (lead < 0xE0) return 2;
  if (lead < 0xF0) return 3;
  return lead < 0xF5 ? 4 : 1;
}

struct DecodedChar {
  std::uint32_t code = 0;  // a broken byte b decodes as 0x110000 + b: no character, but unique
  std::uint32_t bytes = 0;
};

// The character at `offset`, which must lie inside the text.
DecodedChar DecodeChar(std::string_view text, std::size_t offset);
// The last character of a non-empty text.
DecodedChar DecodeLastChar(std::string_view text);
void AppendChar(std::string& out, std::uint32_t code);

// Bytes that the longest prefix of `text` has which ends on a character boundary: a tail that may
// still become a character is left out, one that never can is kept.
std::size_t CompletePrefix(std::string_view text);

// Offset of the first byte that is not UTF-8 (no overlong forms, no surrogates), or npos.
std::size_t FindInvalidUtf8(std::string_view text);
// kDataCorrupt with the byte offset; `what` names the text.
Status CheckUtf8(std::string_view text, std::string_view what);
bool IsAscii(std::string_view text);
// A byte of a character's UTF-8 that is not its first.
inline bool IsContinuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

// The property White_Space.
bool IsWhitespace(std::uint32_t code);
bool IsNumeric(std::uint32_t code);      // categories N*
bool IsPunctuation(std::uint32_t code);  // categories P*, and all of ASCII's punctuation
bool IsMark(std::uint32_t code);         // categories M*
bool IsNonspacingMark(std::uint32_t code);
bool IsOther(std::uint32_t code);  // Cc, Cf, Cs, Co
// The general category as the standard abbreviates it: "Lu", "Nd"; "Cn" of what has none.
std::string_view GeneralCategory(std::uint32_t code);
// Letter, mark, decimal digit or connector: what \w means to Unicode.
bool IsWord(std::uint32_t code);
// The blocks that BERT calls Chinese and sets apart, as its reference implementation lists them.
bool IsBertChinese(std::uint32_t code);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
std::string Normalize(std::string_view text, NormalForm form);
// The first character of the canonical decomposition.
std::uint32_t BaseCharacter(std::uint32_t code);
// The character's lower or upper case where that is one character, else itself.
std::uint32_t SimpleLower(std::uint32_t code);
std::uint32_t SimpleUpper(std::uint32_t code);
// Full lower case, character by character (U+0130 becomes two), without the final-sigma rule.
std::string Lowercase(std::string_view text);
// End of the extended grapheme cluster that starts at `begin`.
std::size_t NextGrapheme(std::string_view text, std::size_t begin);

}  // namespace metier::text
