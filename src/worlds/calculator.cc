#include "worlds/calculator.h"

#include <charconv>
#include <cmath>

#include "worlds/amount.h"

namespace metier::worlds {
namespace {

constexpr int kMaxDepth = 100;  // of parentheses and signs: the parser recurses

// sum = product {("+" | "-") product};  product = factor {("*" | "/") factor};
// factor = ("+" | "-") factor | "(" sum ")" | number.
class Expression {
 public:
  explicit Expression(std::string_view text) : text_(text) {}

  Result<double> Value() {
    METIER_ASSIGN(const double value, Sum(0));
    if (Next() != '\0' || at_ < text_.size()) return Unexpected("an operator or the end");
    return value;
  }

 private:
  char Next() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  bool Take(char sign) {
    if (Next() != sign || at_ == text_.size()) return false;
    ++at_;
    return true;
  }

  Error Unexpected(std::string_view expected) const {
    const std::string found =
        at_ < text_.size() ? "'" + std::string(1, text_[at_]) + "'" : std::string("the end");
    return Error(ErrorCode::kInvalidArgument, "expression: found " + found + " at character " +
                                                  std::to_string(at_ + 1) + ", expected " +
                                                  std::string(expected));
  }

  Result<double> Sum(int depth) {
    METIER_ASSIGN(double value, Product(depth));
    while (true) {
      if (Take('+')) {
        METIER_ASSIGN(const double right, Product(depth));
        value += right;
      } else if (Take('-')) {
        METIER_ASSIGN(const double right, Product(depth));
        value -= right;
      } else {
        return value;
      }
    }
  }

  Result<double> Product(int depth) {
    METIER_ASSIGN(double value, Factor(depth));
    while (true) {
      if (Take('*')) {
        METIER_ASSIGN(const double right, Factor(depth));
        value *= right;
      } else if (Take('/')) {
        METIER_ASSIGN(const double right, Factor(depth));
        if (right == 0) return Error(ErrorCode::kInvalidArgument, "division by zero");
        value /= right;
      } else {
        return value;
      }
    }
  }

  Result<double> Factor(int depth) {
    if (depth > kMaxDepth) {
      return Error(ErrorCode::kInvalidArgument,
                   "expression: nested deeper than " + std::to_string(kMaxDepth));
    }
    if (Take('+')) return Factor(depth + 1);
    if (Take('-')) {
      METIER_ASSIGN(const double value, Factor(depth + 1));
      return -value;
    }
    if (Take('(')) {
      METIER_ASSIGN(const double value, Sum(depth + 1));
      if (!Take(')')) return Unexpected("')'");
      return value;
    }
    return Number();
  }

  Result<double> Number() {
    const char first = Next();
    if (first != '.' && (first < '0' || first > '9')) return Unexpected("a number or '('");
    double value = 0;
    const char* begin = text_.data() + at_;
    const char* end = text_.data() + text_.size();
    const auto [stop, error] = std::from_chars(begin, end, value, std::chars_format::fixed);
    if (error != std::errc()) return Unexpected("a number or '('");
    at_ += static_cast<std::size_t>(stop - begin);
    return value;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Result<double> Calculate(std::string_view expression) {
  METIER_ASSIGN(const double value, Expression(expression).Value());
  if (!std::isfinite(value))
    return Error(ErrorCode::kInvalidArgument, "the result is beyond what a number holds");
  return RoundToCents(value) + 0.0;  // turns -0.0 into 0.0
}

}  // namespace metier::worlds
