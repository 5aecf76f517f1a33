// grammar/ebnf/lark.h - the notation of Lark, the parser library, as far as it says which text may
// come.
//
//   start: NAME "=" value ("," value)*     // rules are lower case, `start` is what texts are of
//   ?value: NUMBER | ESCAPED_STRING -> text | "(" value ")" | [sign] NAME~1..3
//   !sign: "+" | "-"
//   NAME: /[a-z_]\w*/i                     // TERMINALS are upper case
//   HEX.2: ("0".."9" | "a".."f"i)+
//   %import common.NUMBER                  // all of Lark's common terminals (lark_terminals.h)
//   %import common (ESCAPED_STRING, WS)
//   %ignore WS
//
// Aliases, `?` and `!` shape trees and priorities choose between them: they are read and change
// nothing. Regular expressions are ECMA-262's (regex/pattern.h): \d and \w are of ASCII, there is
// no lookbehind; flags i and s (u means nothing).
//
// Lark cuts a text into terminals first, the longest that fits, and then looks for rules. Here is
// no such step: a text is of the grammar if it can be cut in any way. So `WORD WORD` is "ab" as
// well, and a keyword can be a NAME too; every text that Lark's Earley parser with a dynamic lexer
// takes is one. What is ignored may come before, between and behind terminals, never inside of one.
//
// Refused by name: %declare, %override, %extend, templates, imports of other files than common,
// flags l, m and x.
#pragma once

#include <string_view>

#include "base/result.h"
#include "grammar/cfg/cfg.h"
#include "grammar/cfg/rule_body.h"

namespace metier::grammar {

// kDataCorrupt: no such grammar, with line and column. kUnsupported: as above. kResourceExhausted.
Result<RuleSet> ParseLark(std::string_view text, const CfgLimits& limits);

}  // namespace metier::grammar
