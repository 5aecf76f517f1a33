// grammar/schema/formats.h - what JSON Schema's `format` names, as languages.
#pragma once

#include <string_view>

#include "grammar/schema/rules.h"

namespace metier::grammar {

// Texts that are all of this format, if not all that are (Spelling::kJsonString); null for a format
// that is not known here, or that is not regular. Each is made once. Threads: any.
SharedDfa FormatLanguage(std::string_view format);

}  // namespace metier::grammar
