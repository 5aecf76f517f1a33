// worlds/calculator.h - arithmetic for the tool `calculate`.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace metier::worlds {

// The value of + - * / over decimals, with parentheses, signs and blanks, rounded to cents:
// "(6 - 4) * 1.5" is 3.0.  kInvalidArgument: not such an expression, with the place; a division by
// zero; a result beyond what a double holds; nested deeper than 100.
Result<double> Calculate(std::string_view expression);

}  // namespace metier::worlds
