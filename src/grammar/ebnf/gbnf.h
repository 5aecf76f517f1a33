// grammar/ebnf/gbnf.h - GBNF, the notation of llama.cpp's grammars.
//
//   # comments to the end of the line
//   root  ::= "answer: " ("yes" | "no") [.!]? "\n"   the rule that texts are of
//   word  ::= [a-zA-Z]+ | [^\x00-\x1F]{2,8}          classes, their negations, times
//   any   ::= .                                      any character, line ends as well
//
// Strings and classes know \n \r \t \\ \" \[ \] \xHH \uHHHH \UHHHHHHHH, all of them characters. A
// rule goes on in the next line within parentheses, behind `::=` and `|`, and where the next line
// begins with `|`. `*` `+` `?` `{m}` `{m,}` `{m,n}` stand behind a string, a class, a rule or a
// group.
//
// Unlike there: a rule that is defined twice is an error, and so is what nothing is known of.
// Tokens
// (<name>, <[id]>) are refused: a grammar says what text may come, in whatever tokens.
#pragma once

#include <string_view>

#include "base/result.h"
#include "grammar/cfg/cfg.h"
#include "grammar/cfg/rule_body.h"

namespace metier::grammar {

// kDataCorrupt: no GBNF, with line and column. kUnsupported: a token, by name. kResourceExhausted.
Result<RuleSet> ParseGbnf(std::string_view text, const CfgLimits& limits);

}  // namespace metier::grammar
