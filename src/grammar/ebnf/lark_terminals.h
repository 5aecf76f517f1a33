// grammar/ebnf/lark_terminals.h - the terminals of Lark's module `common`.
#pragma once

#include <span>
#include <string_view>

namespace metier::grammar {

struct LarkTerminal {
  std::string_view name;
  std::string_view pattern;  // regex/pattern.h
};

std::span<const LarkTerminal> LarkCommonTerminals();

}  // namespace metier::grammar
