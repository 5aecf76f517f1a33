// grammar/validator/ecma_escape.h - the characters and escapes of a pattern of ECMA-262.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace metier::grammar::validator {

// Reads a pattern character by character. The text must be UTF-8 and outlive it.
class PatternCursor {
 public:
  explicit PatternCursor(std::string_view text) : text_(text) {}

  bool AtEnd() const { return at_ == text_.size(); }
  std::size_t at() const { return at_; }
  void set_at(std::size_t at) { at_ = at; }
  // The next byte, or 0 at the end: enough to tell syntax, which is ASCII.
  char Peek() const { return AtEnd() ? '\0' : text_[at_]; }
  bool StartsWith(std::string_view begin) const { return text_.substr(at_).starts_with(begin); }
  // Steps over `expected` if it comes next.
  bool Accept(std::string_view expected);
  // The next character. Requires !AtEnd().
  std::uint32_t Take();
  // Digits of a decimal number, saturated at 10^9; nothing where none stand.
  std::optional<std::uint64_t> TakeNumber();
  // What stands before the next `end`, stepping over both; nothing without one.
  std::optional<std::string_view> TakeUntil(char end);

  // kInvalidArgument: "byte 3: why".
  Error Bad(std::size_t at, std::string_view why) const;
  Error Bad(std::string_view why) const { return Bad(at_, why); }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

// What an escape stands for: one character, or a set of them.
struct EscapedAtom {
  std::uint32_t code = 0;  // may be half of a surrogate pair, which no text contains
  std::string set;         // not empty: as it stands inside a class of PCRE2
};

// Reads an escape that may stand in a class as well as outside; the cursor is behind the backslash.
// References and assertions (\1, \k, \b, \B) are the callers' business.
// kInvalidArgument: no escape of ECMA-262.
Result<EscapedAtom> ReadEscape(PatternCursor& cursor);

// One character as PCRE2 reads it, in a class or outside.
std::string CharacterText(std::uint32_t code);

constexpr bool IsSurrogate(std::uint32_t code) { return code >= 0xD800 && code <= 0xDFFF; }

}  // namespace metier::grammar::validator
