#include "grammar/validator/number.h"

#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>

namespace metier::grammar::validator {
namespace {

__extension__ using UInt128 = unsigned __int128;

constexpr double kTwoTo64 = 18446744073709551616.0;

// base^power mod modulus, modulus > 0.
std::uint64_t PowerModulo(std::uint64_t base, std::uint64_t power, std::uint64_t modulus) {
  UInt128 result = 1 % modulus;
  UInt128 square = base % modulus;
  for (; power != 0; power >>= 1) {
    if ((power & 1) != 0) result = result * square % modulus;
    square = square * square % modulus;
  }
  return static_cast<std::uint64_t>(result);
}

int ThreeWay(auto a, auto b) { return a < b ? -1 : a > b ? 1 : 0; }

}  // namespace

std::optional<Number> Number::From(const Json& value) {
  Number number;
  if (value.is_number_unsigned()) {
    number.magnitude_ = value.get<std::uint64_t>();
  } else if (value.is_number_integer()) {
    const auto integer = value.get<std::int64_t>();
    number.negative_ = integer < 0;
    number.magnitude_ = static_cast<std::uint64_t>(integer);
    if (number.negative_) number.magnitude_ = 0 - number.magnitude_;
  } else if (value.is_number_float()) {
    number.is_real_ = true;
    number.real_ = value.get<double>();
  } else {
    return std::nullopt;
  }
  return number;
}

bool Number::IsInteger() const {
  return !is_real_ || (std::isfinite(real_) && std::trunc(real_) == real_);
}

bool Number::IsPositive() const { return is_real_ ? real_ > 0 : !negative_ && magnitude_ != 0; }

bool Number::IsFinite() const { return !is_real_ || std::isfinite(real_); }

std::optional<std::uint64_t> Number::WholeMagnitude() const {
  if (!is_real_) return magnitude_;
  const double magnitude = std::fabs(real_);
  if (!(magnitude < kTwoTo64) || std::trunc(magnitude) != magnitude) return std::nullopt;
  return static_cast<std::uint64_t>(magnitude);
}

int Number::Compare(const Number& other) const {
  if (is_real_ && other.is_real_) {
    if (std::isnan(real_) || std::isnan(other.real_)) {
      return static_cast<int>(std::isnan(real_)) - static_cast<int>(std::isnan(other.real_));
    }
    return ThreeWay(real_, other.real_);
  }
  if (is_real_) return -other.Compare(*this);
  if (!other.is_real_) {
    if (negative_ != other.negative_) return negative_ ? -1 : 1;
    return negative_ ? ThreeWay(other.magnitude_, magnitude_)
                     : ThreeWay(magnitude_, other.magnitude_);
  }
  // An integer against a double: by sign, then by size, then by what stands behind the point.
  if (std::isnan(other.real_)) return -1;
  if (std::fabs(other.real_) >= kTwoTo64) return other.real_ > 0 ? -1 : 1;
  const bool other_negative = other.real_ < 0;
  if (negative_ != other_negative) return negative_ ? -1 : 1;
  const double whole = std::trunc(std::fabs(other.real_));
  int by_magnitude = ThreeWay(magnitude_, static_cast<std::uint64_t>(whole));
  if (by_magnitude == 0 && whole != std::fabs(other.real_)) by_magnitude = -1;
  return negative_ ? -by_magnitude : by_magnitude;
}

Number::Decimal Number::ToDecimal() const {
  if (!is_real_) return {magnitude_, 0};
  // Shortest digits that read back: "1.2345e-07". At most 17 of them, so they fit.
  std::array<char, 32> buffer{};
  const auto written = std::to_chars(buffer.data(), buffer.data() + buffer.size(), std::fabs(real_),
                                     std::chars_format::scientific);
  Decimal decimal;
  bool behind_point = false;
  const char* at = buffer.data();
  for (; at != written.ptr && *at != 'e'; ++at) {
    if (*at == '.') {
      behind_point = true;
      continue;
    }
    decimal.digits = decimal.digits * 10 + static_cast<std::uint64_t>(*at - '0');
    if (behind_point) --decimal.exponent;
  }
  if (at != written.ptr) {
    ++at;
    if (*at == '+') ++at;
    int exponent = 0;
    std::from_chars(at, written.ptr, exponent);
    decimal.exponent += exponent;
  }
  return decimal;
}

bool Number::IsMultipleOf(const Number& step) const {
  if (!IsFinite()) return false;
  const Decimal value = ToDecimal();
  const Decimal unit = step.ToDecimal();
  if (value.digits == 0) return true;
  const int shift = value.exponent - unit.exponent;
  if (shift >= 0) {  // digits * 10^shift modulo the step's digits
    const std::uint64_t power = PowerModulo(10, static_cast<std::uint64_t>(shift), unit.digits);
    return static_cast<UInt128>(value.digits % unit.digits) * power % unit.digits == 0;
  }
  // The step has `-shift` zeros more than the value may have digits: 2^64 < 10^20.
  if (shift <= -20) return false;
  UInt128 divisor = unit.digits;
  for (int i = shift; i < 0; ++i) {
    divisor *= 10;
    if (divisor > value.digits) return false;
  }
  return value.digits % static_cast<std::uint64_t>(divisor) == 0;
}

std::uint64_t Number::Hash() const {
  if (const auto whole = WholeMagnitude()) {
    const bool negative = is_real_ ? real_ < 0 : negative_ && magnitude_ != 0;
    return std::hash<std::uint64_t>()(*whole) * 2 + static_cast<std::uint64_t>(negative);
  }
  return std::isnan(real_) ? 1 : std::hash<double>()(real_);
}

std::string Number::Text() const {
  if (is_real_) return DumpCompact(Json(real_));
  return (negative_ ? "-" : "") + std::to_string(magnitude_);
}

std::optional<std::uint64_t> CountFrom(const Json& value) {
  if (value.is_number_unsigned()) return value.get<std::uint64_t>();
  if (value.is_number_integer()) {
    const auto integer = value.get<std::int64_t>();
    if (integer < 0) return std::nullopt;
    return static_cast<std::uint64_t>(integer);
  }
  if (!value.is_number_float()) return std::nullopt;
  const auto real = value.get<double>();
  if (!std::isfinite(real) || real < 0 || std::trunc(real) != real) return std::nullopt;
  if (real >= kTwoTo64) return std::numeric_limits<std::uint64_t>::max();
  return static_cast<std::uint64_t>(real);
}

}  // namespace metier::grammar::validator
