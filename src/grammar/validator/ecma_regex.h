// grammar/validator/ecma_regex.h - the regular expressions of JSON Schema (ECMA-262), run by PCRE2.
//
// A pattern is parsed by the grammar of ECMA-262 and written anew for PCRE2 (ecma_translate.h), so
// that a construct of Perl which ECMA-262 does not have is refused instead of obeyed. Nothing else
// of grammar/ shares this: masks come from automata of their own.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace metier::grammar::validator {

class EcmaRegex {
 public:
  // kInvalidArgument: not a regular expression. kUnsupported: one that PCRE2 cannot run:
  // look-behind of varying length, repeats above 65535. kResourceExhausted: too long.
  static Result<EcmaRegex> Compile(std::string_view pattern);

  // A pattern of ours, in PCRE2's own syntax with Unicode's properties. It must compile.
  static EcmaRegex Native(std::string_view pcre2_pattern);

  const std::string& source() const { return source_; }

  // Whether it matches anywhere in the text. kResourceExhausted: it backtracked past
  // kMaxBacktracks, or needed too much memory. kDataCorrupt: the text is not UTF-8. Any number of
  // threads.
  Result<bool> Matches(std::string_view text) const;

  // In PCRE2's unit: a second of a hostile pattern at most, far more than honest ones need.
  static constexpr std::uint32_t kMaxBacktracks = 5'000'000;

 private:
  struct Code;
  EcmaRegex(std::string source, std::shared_ptr<const Code> code);
  static Result<std::shared_ptr<const Code>> CompileCode(std::string_view pcre2_pattern,
                                                         std::uint32_t options);

  std::string source_;
  std::shared_ptr<const Code> code_;
};

}  // namespace metier::grammar::validator
