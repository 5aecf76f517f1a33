// grammar/schema/number_rules.h - the JSON numbers within bounds, as an automaton over their bytes.
//
// Numbers are compared digit by digit, as decimals: 0.1 is a tenth, however long it gets.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "grammar/automata/dfa.h"

namespace metier::grammar {

// whole.fraction, without zeros in front or behind; 0 is "" and "".
struct Decimal {
  bool negative = false;
  std::string whole;
  std::string fraction;
  bool operator==(const Decimal&) const = default;
};

// Of a number of a document, whose double says the shortest decimal that reads back as it.
Decimal DecimalOf(const Json& number);

struct NumberRules {
  struct Bound {
    Decimal value;
    bool open = false;  // the value itself is outside
  };

  bool integer = false;
  bool fractional = false;  // no integer
  std::optional<Bound> least;
  std::optional<Bound> most;
  std::vector<Decimal> multiples_of;            // positive
  std::optional<std::vector<Decimal>> allowed;  // of all others none
  std::vector<Decimal> refused;

  // With both rules.
  void And(const NumberRules& other);
};

// Numbers have at most kMostDigits digits before the point and as many behind it. They may have an
// exponent (of two digits, so that they stay numbers of 64 bits) where nothing is asked of them;
// integers are written as such. kUnsupported: a multiple whose remainders are too many.
// kResourceExhausted.
constexpr int kMostDigits = 40;
Result<Dfa> LanguageOf(const NumberRules& rules, const AutomatonLimits& limits);

}  // namespace metier::grammar
