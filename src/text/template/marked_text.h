// text/template/marked_text.h - a string that remembers which of its bytes came from where.
//
// The interpreter computes with these instead of plain strings, so that the rendered text still
// knows which bytes were written by which message (training finds the assistant's words by it, and
// the tokenizer refuses to read control tokens in bytes that a user wrote) and which loop iteration
// or {% generation %} block printed what. Marks follow every operation: joining shifts them,
// slicing cuts them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace metier::text::jinja {

enum class MarkKind : std::uint8_t {
  kData,        // bytes that came from the caller's data and not from the template
  kIteration,   // everything that one iteration of a loop printed
  kGeneration,  // everything that one {% generation %} block printed
};

// Where data came from: the index of a message, or one of these.
inline constexpr std::int32_t kNoSource = -1;     // the template itself
inline constexpr std::int32_t kOtherSource = -2;  // tools, documents, further variables

struct Mark {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  std::int32_t source = kNoSource;
  MarkKind kind = MarkKind::kData;
};

struct MarkedText {
  std::string bytes;
  std::vector<Mark> marks;  // kData marks do not overlap; other kinds may enclose anything
  bool markup = false;  // passed the filter `safe`: "+" escapes what is joined to it, as Python's
                        // Markup does

  // Text of the template itself, and text of the given source throughout.
  static MarkedText Plain(std::string_view text) { return {std::string(text), {}, false}; }
  static MarkedText From(std::string_view text, std::int32_t source);

  void Append(std::string_view text) { bytes.append(text); }
  void Append(const MarkedText& text);
  // Marks bytes [begin, bytes.size()).
  void MarkFrom(std::size_t begin, std::int32_t source, MarkKind kind);

  // Bytes [begin, end), with the marks that lie there. Requires begin <= end <= bytes.size().
  MarkedText Slice(std::size_t begin, std::size_t end) const;
  // The same text rewritten as `changed` (another case, say), all of it marked if any byte was: the
  // rewriting does not say which byte became which.
  MarkedText Rewritten(std::string changed) const;
};

}  // namespace metier::text::jinja
