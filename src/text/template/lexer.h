// text/template/lexer.h - a template's source as tokens, whitespace control already applied.
//
// As Jinja reads it with trim_blocks and lstrip_blocks on, which is how every published chat
// template is rendered: the newline after a block or comment goes, and so does the blank start of
// the line before one; "-" strips all whitespace on its side, "+" keeps it. One newline at the very
// end of the source is dropped, and \r\n and \r are read as \n.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/result.h"

namespace metier::text::jinja {

struct Token {
  enum class Kind {
    kData,           // text to be printed as it is
    kVariableBegin,  // {{
    kVariableEnd,    // }}
    kBlockBegin,     // {%
    kBlockEnd,       // %}
    kName,
    kString,  // text: unescaped
    kInteger,
    kFloat,
    kOperator,  // text: its spelling
    kEnd,
  };
  Kind kind = Kind::kEnd;
  int line = 1;
  std::string text;
  std::int64_t integer = 0;
  double real = 0;
};

// Ends with one kEnd. kDataCorrupt: an unclosed tag, string or comment, unbalanced brackets, a
// character that no token starts with.  kUnsupported: an integer over 64 bits, "\N{...}".
// kResourceExhausted: over limits.max_template_bytes.
Result<std::vector<Token>> Tokenize(std::string_view source, const Limits& limits);

}  // namespace metier::text::jinja
