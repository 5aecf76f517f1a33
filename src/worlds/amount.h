// worlds/amount.h - sums of money as JSON writes them: whole numbers stay whole.
//
// 375 and 375.0 are one amount but two texts, and observations quote amounts. A sum is whole when
// everything in it is; it is computed as a double either way, so that no argument of a call can
// overflow it.
#pragma once

#include <string>

#include "base/json.h"

namespace metier::worlds {

class Amount {
 public:
  Amount() = default;
  // Requires number.is_number().
  explicit Amount(const Json& number)
      : value_(number.get<double>()), whole_(number.is_number_integer()) {}

  double value() const { return value_; }

  // The number as JSON; beyond 2^53 one with decimals, as whole ones are no longer exact there.
  Json ToJson() const;
  // "375", "375.5": as ToJson() is written.
  std::string Text() const;
  // To cents, ties to even. Whole amounts are what they were.
  Amount Rounded() const;
  Amount Absolute() const { return value_ < 0 ? Amount(-value_, whole_) : *this; }

  friend Amount operator+(Amount a, Amount b) {
    return Amount(a.value_ + b.value_, a.whole_ && b.whole_);
  }
  friend Amount operator-(Amount a, Amount b) {
    return Amount(a.value_ - b.value_, a.whole_ && b.whole_);
  }
  friend Amount operator*(Amount a, Amount b) {
    return Amount(a.value_ * b.value_, a.whole_ && b.whole_);
  }
  friend bool operator==(Amount a, Amount b) { return a.value_ == b.value_; }
  friend bool operator<(Amount a, Amount b) { return a.value_ < b.value_; }

 private:
  Amount(double value, bool whole) : value_(value), whole_(whole) {}

  double value_ = 0;
  bool whole_ = true;
};

// The double nearest to `value` rounded to two decimals, ties to even.
double RoundToCents(double value);

}  // namespace metier::worlds
