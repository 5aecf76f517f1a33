// grammar/validator/format.h - the values of `format` and how each is checked.
//
// A format that is not in the table asserts nothing, as the drafts say. All drafts get all formats:
// an older schema that says "uuid" means it.
#pragma once

#include <string_view>

namespace metier::grammar::validator {

struct Format {
  std::string_view name;
  std::string_view expected;  // in words, with the standard that defines it
  bool (*fits)(std::string_view text);
};

// Null for an unknown name.
const Format* FindFormat(std::string_view name);

}  // namespace metier::grammar::validator
