// grammar/regex/pattern.h - regular expressions as trees.
//
// Syntax: ECMA-262 (what JSON Schema's `pattern` is written in), read as browsers read it: `{` and
// `]` that can be nothing else are themselves, as is an escaped character without a meaning. On top
// of it what other dialects write and means the same: (?P<name>...), \A and \z no (they are letters
// in ECMA-262), (?i) in front of everything.
//
// A tree means a language, a set of texts: groups capture nothing, and lazy is greedy.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/regex/code_points.h"

namespace metier::grammar {

struct Pattern {
  enum class Kind {
    kSet,       // one character of `set`
    kSequence,  // all parts, one behind the other; none: the empty text
    kChoice,    // one of the parts; none: nothing at all
    kRepeat,    // the one part, `least` to `most` times
    kBegin,     // nothing, at the text's beginning
    kEnd,       // nothing, at its end
    kAhead,     // nothing, where the one part comes next, or does not
  };
  static constexpr std::int64_t kEndless = -1;

  Kind kind = Kind::kSequence;
  CodePoints set = {};
  std::vector<Pattern> parts = {};
  std::int64_t least = 0;
  std::int64_t most = kEndless;
  bool negative = false;  // of kAhead

  static Pattern Set(CodePoints set);
  static Pattern Literal(std::string_view text);  // UTF-8
  static Pattern Sequence(std::vector<Pattern> parts);
  static Pattern Choice(std::vector<Pattern> parts);
  static Pattern Repeat(Pattern part, std::int64_t least, std::int64_t most = kEndless);
};

struct PatternOptions {
  bool ignores_case = false;
  bool dot_is_any = false;  // `.` is line ends as well
};

// kDataCorrupt: no regular expression, with the byte offset. kUnsupported: a construct that is not
// regular or not ours, by name: backreferences, lookbehind, word boundaries, unknown properties.
// kResourceExhausted: nested more deeply than any that people write.
Result<Pattern> ParsePattern(std::string_view text, const PatternOptions& options = {});

}  // namespace metier::grammar
