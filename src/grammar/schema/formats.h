// grammar/schema/formats.h - what JSON Schema's `format` names, as patterns.
#pragma once

#include <string_view>

namespace metier::grammar {

// A pattern (regex/pattern.h) of texts that are all of this format, if not all that are; "" for a
// format that is not known here, or that is not regular.
std::string_view FormatPattern(std::string_view format);

}  // namespace metier::grammar
