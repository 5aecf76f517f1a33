// text/tokenizer/regex.h - the regular expressions of published tokenizers, run by PCRE2 (JIT).
//
// tokenizer.json is written for Oniguruma (Ruby syntax). TranslatePattern turns such a pattern into
// one that PCRE2 reads the same way; where the two differ:
//   \s \S          White_Space; PCRE2's own set also has U+180E
//   \w \W \b \B    letters, marks, digits, connectors; PCRE2 10.42 leaves the marks out
//   \h \H          hexadecimal digits
//   \p{Han}        the script; PCRE2 takes the script extensions
//   ^ $            match at every line; (?m) lets the dot match newlines
//   {n,m}+         a repeated repeat, not a possessive one
//   [a[bc]]        a union; [a&&[^b]] an intersection
//
// Cost: a match attempt is bounded (kMaxBacktracks), a whole scan is linear for the patterns that
// models publish.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace metier::text {

// kUnsupported: a construct that PCRE2 cannot express.
Result<std::string> TranslatePattern(std::string_view onig);

class Regex {
 public:
  // kDataCorrupt: not a regular expression. kUnsupported: see TranslatePattern.
  static Result<Regex> Compile(std::string_view onig_pattern);
  // A pattern that matches this text and nothing else.
  static Regex Literal(std::string_view text);

  // Walks the matches of one text. Not thread-safe; the text must be UTF-8 and outlive it.
  class Matches {
   public:
    Matches(const Regex& regex, std::string_view text);
    ~Matches();
    Matches(const Matches&) = delete;
    Matches& operator=(const Matches&) = delete;

    // The next match, leftmost first, not overlapping; an empty match right behind another one is
    // skipped. False at the end or after an error.
    bool Next();
    std::size_t begin() const { return begin_; }
    std::size_t end() const { return end_; }
    // kResourceExhausted: the pattern backtracked past the limit.
    Status status() const { return status_; }

   private:
    bool Search(std::size_t from);

    const Regex& regex_;
    std::string_view text_;
    void* match_data_;  // borrowed from the regex's pool
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    bool any_ = false;
    Status status_;
  };

 private:
  struct Code;
  explicit Regex(std::shared_ptr<const Code> code) : code_(std::move(code)) {}
  std::shared_ptr<const Code> code_;
};

}  // namespace metier::text
