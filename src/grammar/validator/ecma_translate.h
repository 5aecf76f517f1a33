// grammar/validator/ecma_translate.h - a regular expression of ECMA-262 as one of PCRE2.
//
// Read as with the flag u, which is what JSON Schema asks for: text is characters, not UTF-16
// units. What browsers read without the flag and schemas are full of is read too: an escaped
// character that needs no escape (\-, \@, not letters or digits), a lone { } or ], a dash beside \w
// in a class.
//
//   ECMA-262                written as             because PCRE2 itself
//   $  ^                    \z  \A                 lets $ match before a last newline
//   \d \w \s . and classes  lists of characters    has other sets of spaces and line ends
//   [] [^]                  nothing, anything      takes the ] for a character
//   (?<name>...) \k<name>   numbered groups        has other rules for names
//   \uD83D\uDC32 \u{1F432}  one character          knows neither
//   \p{Script=Greek}        \p{sc:Greek}           names properties differently
//
// Not told apart: groups inside a repeat keep their last capture, where ECMA-262 forgets it at the
// next turn. Only a reference back to such a group can notice.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace metier::grammar::validator {

// kInvalidArgument: not a pattern of ECMA-262, with the byte. kUnsupported: a repeat above 65535,
// PCRE2's limit; a property that it does not know is found by compiling.  Cost: linear.
Result<std::string> TranslateEcmaPattern(std::string_view pattern);

// Whether it is a pattern of ECMA-262 at all: what the format "regex" asks.
bool IsEcmaPattern(std::string_view pattern);

}  // namespace metier::grammar::validator
