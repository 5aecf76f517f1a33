// text/template/python_text.h - Python's str, on UTF-8: code points, whitespace, case, repr.
//
// Positions in Python strings count code points; ours count bytes. A byte that is not UTF-8 counts
// as one character of its own and is kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace metier::text::jinja {

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t bytes = 1;
};

// Bytes [begin, end) of a text.
struct ByteRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// Requires at < text.size().
CodePoint DecodeAt(std::string_view text, std::size_t at);
// The code point that ends at `end`. Requires 0 < end <= text.size().
CodePoint DecodeBefore(std::string_view text, std::size_t end);
void AppendUtf8(std::uint32_t code_point, std::string& out);

std::size_t CountCodePoints(std::string_view text);
// The bytes where each code point begins, and text.size() at the end.
std::vector<std::size_t> CodePointStarts(std::string_view text);

// str.isspace() of one character, which is also what strip() strips and split() splits at.
bool IsSpace(std::uint32_t code_point);

// What is left when characters of `chars` (whitespace when absent) go from the ends.
enum class StripEnds { kLeft, kRight, kBoth };
ByteRange Strip(std::string_view text, StripEnds ends,
                std::optional<std::string_view> chars = std::nullopt);

// str.splitlines(): without the line ends.
std::vector<ByteRange> SplitLines(std::string_view text);

std::string Upper(std::string_view text);
std::string Lower(std::string_view text);
// str.title() and str.capitalize().
std::string Title(std::string_view text);
std::string Capitalize(std::string_view text);

// str.isalpha() and its kin: false for "".
enum class CharacterClass { kAlpha, kDigit, kAlnum, kSpace, kUpper, kLower };
bool AllOf(std::string_view text, CharacterClass wanted);

// repr(): quoted, escaped, what cannot be printed as \x, \u or \U.
std::string PythonRepr(std::string_view text);

}  // namespace metier::text::jinja
