// format/module_pattern.h - regular expressions over module paths, as PEFT's configs hold them.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace metier::format {

enum class PatternMatch {
  kWholePath,  // re.fullmatch(pattern, path): target_modules and exclude_modules as one string
  kSuffix,     // re.match("(.*\.)?(pattern)$", path): keys of rank_pattern and alpha_pattern
};

// kDataCorrupt: not a regular expression, or longer than 4096 bytes.
Status CheckModulePattern(std::string_view pattern);

// False for a pattern that does not compile, and for one that backtracks without end (the match is
// cut off after a fixed number of steps). Compiles at each call: patterns are few and paths short.
bool MatchesModulePattern(std::string_view pattern, std::string_view path, PatternMatch how);

// True when `path` is `suffix` or ends in "." + `suffix`: an item of target_modules as a list.
bool HasModuleSuffix(std::string_view path, std::string_view suffix);

}  // namespace metier::format
