// Filters of numbers: int, float, abs, round.
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "text/template/filters.h"
#include "text/template/operators.h"
#include "text/template/python_text.h"

namespace metier::text::jinja {
namespace {

// What int() and float() accept around the digits: blanks, one sign, single underscores between
// digits.
std::optional<std::string> Digits(std::string_view text) {
  const ByteRange left = Strip(text, StripEnds::kBoth);
  text = text.substr(left.begin, left.end - left.begin);
  std::string digits;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    if (text[0] == '-') digits += '-';
    text.remove_prefix(1);
  }
  if (text.empty() || text[0] == '+' || text[0] == '-') return std::nullopt;
  const auto is_digit = [&text](std::size_t at) {
    return at < text.size() && text[at] >= '0' && text[at] <= '9';
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      digits += text[i];
    } else if (i == 0 || !is_digit(i - 1) || !is_digit(i + 1)) {
      return std::nullopt;
    }
  }
  return digits;
}

template <class Number>
std::optional<Number> Whole(const std::string& digits, Number value) {
  const char* end = digits.data() + digits.size();
  const auto read = std::from_chars(digits.data(), end, value);
  if (read.ec == std::errc::result_out_of_range && read.ptr == end) return value;
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return value;
}

std::optional<double> ParseFloat(std::string_view text) {
  const auto digits = Digits(text);
  if (!digits) return std::nullopt;
  return Whole<double>(*digits, std::numeric_limits<double>::infinity());
}

std::optional<std::int64_t> Truncated(double value) {
  if (!(std::fabs(value) < 9.2e18)) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

Result<Value> Int(Machine&, const Value& input, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"default", "base"}));
  METIER_ASSIGN(const std::int64_t base, IntegerOf(bound[1], 10, "the argument 'base'"));
  if (base != 10) return Error(ErrorCode::kUnsupported, "a base other than 10 is not supported");
  const Value fallback = bound[0] == nullptr ? Value(std::int64_t{0}) : *bound[0];
  if (input.undefined() != nullptr) return MissingError(input);
  if (input.integer() != nullptr) return input;
  if (input.boolean() != nullptr) return Value(std::int64_t{*input.boolean() ? 1 : 0});
  std::optional<double> real;
  if (input.real() != nullptr) real = *input.real();
  if (const MarkedText* text = input.text(); text != nullptr) {
    const auto digits = Digits(text->bytes);
    std::int64_t value = 0;
    if (digits) {
      const char* end = digits->data() + digits->size();
      const auto read = std::from_chars(digits->data(), end, value);
      if (read.ec == std::errc() && read.ptr == end) return Value(value);
      if (read.ec == std::errc::result_out_of_range && read.ptr == end)
        return Error(ErrorCode::kUnsupported, "an integer over 64 bits is not supported");
    }
    real = ParseFloat(text->bytes);
  }
  if (!real || !std::isfinite(*real)) return fallback;
  const auto whole = Truncated(*real);
  if (!whole) return Error(ErrorCode::kUnsupported, "an integer over 64 bits is not supported");
  return Value(*whole);
}

Result<Value> Float(Machine&, const Value& input, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"default"}));
  if (input.undefined() != nullptr) return MissingError(input);
  if (input.real() != nullptr) return input;
  if (input.integer() != nullptr) return Value(static_cast<double>(*input.integer()));
  if (input.boolean() != nullptr) return Value(*input.boolean() ? 1.0 : 0.0);
  if (input.text() != nullptr) {
    if (const auto value = ParseFloat(input.text()->bytes)) return Value(*value);
  }
  return bound[0] == nullptr ? Value(0.0) : *bound[0];
}

Result<Value> Abs(Machine&, const Value& input, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  if (input.real() != nullptr) return Value(std::fabs(*input.real()));
  if (input.boolean() != nullptr) return Value(std::int64_t{*input.boolean() ? 1 : 0});
  if (input.integer() == nullptr) {
    if (input.undefined() != nullptr) return MissingError(input);
    return Wrong(fmt::format("a {} has no absolute value", TypeName(input)));
  }
  return *input.integer() < 0 ? Negate(input) : Result<Value>(input);
}

Result<Value> Round(Machine&, const Value& input, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"precision", "method"}));
  METIER_ASSIGN(const std::int64_t precision, IntegerOf(bound[0], 0, "the argument 'precision'"));
  std::string method = "common";
  if (bound[1] != nullptr) {
    METIER_ASSIGN(const MarkedText* given, TextOf(*bound[1], "the argument 'method'"));
    method = given->bytes;
  }
  if (method != "common" && method != "ceil" && method != "floor")
    return Wrong("the argument 'method' must be common, ceil or floor");
  if (precision < 0 || precision > 300)
    return Error(ErrorCode::kUnsupported, "a precision outside 0..300 is not supported");
  if (input.undefined() != nullptr) return MissingError(input);
  if (!input.is_number()) return Wrong(fmt::format("a {} cannot be rounded", TypeName(input)));
  if (method == "common") {
    if (input.boolean() != nullptr) return Value(std::int64_t{*input.boolean() ? 1 : 0});
    if (input.integer() != nullptr) return input;
    if (!std::isfinite(*input.real())) return input;
    // Printing rounds the exact binary value, half to even, as Python's round() does.
    const std::string text = fmt::format("{:.{}f}", *input.real(), precision);
    double rounded = 0;
    std::from_chars(text.data(), text.data() + text.size(), rounded);
    return Value(rounded);
  }
  const double value = input.real() != nullptr      ? *input.real()
                       : input.integer() != nullptr ? static_cast<double>(*input.integer())
                                                    : (*input.boolean() ? 1.0 : 0.0);
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = method == "ceil" ? std::ceil(value * scale) : std::floor(value * scale);
  if (!std::isfinite(scaled)) return Wrong("the number is too large to be rounded");
  return Value(scaled / scale);
}

constexpr std::array<Filter, 4> kNumberFilters = {
    {{"abs", Abs}, {"float", Float}, {"int", Int}, {"round", Round}}};

}  // namespace

std::span<const Filter> NumberFilters() { return kNumberFilters; }

}  // namespace metier::text::jinja
