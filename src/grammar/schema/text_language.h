// grammar/schema/text_language.h - the texts that rules allow, as a shape.
#pragma once

#include <optional>

#include "base/result.h"
#include "grammar/json/shapes.h"
#include "grammar/schema/rules.h"

namespace metier::grammar {

// Nothing: no text is allowed. kResourceExhausted.
Result<std::optional<StringShape>> ShapeOfText(const StringRules& rules,
                                               const AutomatonLimits& limits);

// The same as an automaton (Spelling::kJsonString), which is empty where no text is allowed.
Result<Dfa> LanguageOf(const StringShape& shape, const AutomatonLimits& limits);

}  // namespace metier::grammar
