// grammar/validator/number.h - numbers of JSON compared and divided without rounding.
//
// A document's number reaches us as a 64-bit integer or a double. A double stands for the shortest
// decimal that reads back as it: 0.07 is seven hundredths, not the binary fraction nearest to it,
// because that is what its author wrote. Comparisons are exact between the two kinds as well.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"

namespace metier::grammar::validator {

class Number {
 public:
  // Nothing when the value is no number.
  static std::optional<Number> From(const Json& value);

  // 1.0 is an integer; infinities and NaN, which only programs can make, are not.
  bool IsInteger() const;
  bool IsPositive() const;
  bool IsFinite() const;

  // Negative, 0 or positive as *this is less than, equal to or greater than the other. NaN, the one
  // number without a place, counts as greater than any and equal to itself.
  int Compare(const Number& other) const;

  // Is this an integer times `step`? Exact in decimals at any magnitude: 19.99 is a multiple of
  // 0.01, 1e308 of 0.5. Requires a finite step > 0.
  bool IsMultipleOf(const Number& step) const;

  // The same for numbers that compare equal.
  std::uint64_t Hash() const;

  // As JSON writes it.
  std::string Text() const;

 private:
  // digits * 10^exponent; the sign does not matter to divisibility.
  struct Decimal {
    std::uint64_t digits = 0;
    int exponent = 0;
  };
  Decimal ToDecimal() const;
  // This magnitude as a double is an integer below 2^64.
  std::optional<std::uint64_t> WholeMagnitude() const;

  bool is_real_ = false;
  bool negative_ = false;        // of integers
  std::uint64_t magnitude_ = 0;  // of integers
  double real_ = 0;
};

// The value of a keyword that counts ("minLength": 2 or 2.0): a whole number of at least 0, those
// above 64 bits as the largest. Nothing for anything else.
std::optional<std::uint64_t> CountFrom(const Json& value);

}  // namespace metier::grammar::validator
