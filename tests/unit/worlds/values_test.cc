// What worlds are built of: shapes, sums of money, arithmetic.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>

#include "tiny_worlds.h"
#include "worlds/amount.h"
#include "worlds/calculator.h"
#include "worlds/shape.h"

namespace metier::worlds {
namespace {

Status Fits(const std::string& shape, const std::string& value,
            UnknownNames unknown = UnknownNames::kRefused) {
  return CheckShape(Parsed(shape), Parsed(value), unknown, "argument");
}

TEST(Shape, TakesWhatLooksLikeIt) {
  for (const auto& [shape, value] : std::initializer_list<std::pair<const char*, const char*>>{
           {R"("")", R"("any")"},
           {R"("yes|no")", R"("no")"},
           {"0", "-3"},
           {"0", "18446744073709551615"},
           {"0.5", "3"},
           {"0.5", "3.25"},
           {"true", "false"},
           {"null", R"({"a": [1]})"},
           {R"([""])", R"(["a", "b"])"},
           {R"([""])", "[]"},
           {"{}", "{}"},
           {R"({"*": 0})", R"({"a": 1, "b": 2})"},
           {R"({"a": "", "b?": 0})", R"({"a": "x"})"},
           {R"({"a": "", "b?": 0})", R"({"b": 1, "a": "x"})"}}) {
    SCOPED_TRACE(std::string(shape) + " " + value);
    EXPECT_OK(Fits(shape, value));
  }
  EXPECT_OK(Fits(R"({"a": ""})", R"({"a": "x", "other": 1})", UnknownNames::kKept));
}

TEST(Shape, SaysWhereAValueIsAnother) {
  const auto code = ErrorCode::kInvalidArgument;
  EXPECT_ERROR(Fits(R"({"flights": [{"date": ""}]})", R"({"flights": [{"date": 5}]})"), code,
               "argument 'flights/0/date' is a whole number, expected a string");
  EXPECT_ERROR(Fits(R"({"a": ""})", "{}"), code, "argument 'a' is missing");
  EXPECT_ERROR(Fits(R"({"reason": ""})", R"({"reason": "", "raeson": ""})"), code,
               "unknown argument 'raeson', the nearest is 'reason'");
  EXPECT_ERROR(Fits(R"("yes|no")", R"("maybe")"), code, "is 'maybe', expected one of yes|no");
  EXPECT_ERROR(Fits(R"("yes|no")", R"("yes|no")"), code, "expected one of");
  EXPECT_ERROR(Fits(R"("yes|no")", R"("")"), code, "expected one of");
  EXPECT_ERROR(Fits("{}", "[]"), code, "argument is an array, expected an object");
  EXPECT_ERROR(Fits("[0]", R"({"0": 1})"), code, "expected an array");
  EXPECT_ERROR(Fits("0", "1.5"), code, "a number with decimals, expected a whole number");
  EXPECT_ERROR(Fits("0.5", R"("1.5")"), code, "expected a number");
  EXPECT_ERROR(Fits("true", "null"), code, "null, expected a boolean");
  EXPECT_ERROR(Fits(R"({"*": 0})", R"({"a": 1, "b": "2"})"), code, "'b' is a string");
}

TEST(Amount, StaysWholeWhileEverythingInItIs) {
  const Amount whole(Json(375));
  const Amount cents(Json(0.5));
  EXPECT_EQ(whole.Text(), "375");
  EXPECT_EQ((whole + whole).Text(), "750");
  EXPECT_EQ((whole - whole * whole).Text(), "-140250");
  EXPECT_EQ((whole + cents).Text(), "375.5");
  EXPECT_EQ((whole + cents + cents).Text(), "376.0");
  EXPECT_EQ((cents - cents).Text(), "0.0");
  EXPECT_EQ((Amount() - whole).Absolute().Text(), "375");
  EXPECT_EQ((Amount() - cents).Absolute().Text(), "0.5");
  EXPECT_EQ(Amount(Json(0.125)).Rounded().Text(), "0.12");  // a tie, exact in binary
  EXPECT_EQ(Amount(Json(2.675)).Rounded().Text(), "2.67");  // is below the tie in binary
  EXPECT_EQ(whole.Rounded().Text(), "375");
}

TEST(Amount, DoesNotOverflow) {
  const Amount huge(Json(INT64_MIN));
  EXPECT_EQ((huge * huge).Text(), "8.507059173023462e+37");
  EXPECT_EQ((huge + huge).Text(), "-1.8446744073709552e+19");
  const Amount largest(Json(1.7e308));
  EXPECT_EQ((largest + largest).Rounded().Text(), "Infinity");
}

TEST(Calculate, DoesWhatItIsToldOf) {
  for (const auto& [expression, value] :
       std::initializer_list<std::pair<const char*, double>>{{"2 + 2", 4},
                                                             {"1 - 2 - 3", -4},
                                                             {"2 + 3 * 4", 14},
                                                             {"(2 + 3) * 4", 20},
                                                             {"100 / 8 / 5", 2.5},
                                                             {"-(3 - 5) * +2", 4},
                                                             {"2 - -2", 4},
                                                             {"10 / 3", 3.33},
                                                             {"0.125", 0.12},
                                                             {" .5 + 1. ", 1.5},
                                                             {"0 * -1", 0}}) {
    ASSERT_OK_AND_ASSIGN(const double result, Calculate(expression));
    EXPECT_EQ(result, value) << expression;
    EXPECT_FALSE(std::signbit(result) && result == 0) << expression;
  }
}

TEST(Calculate, RefusesTheRestWithThePlace) {
  const auto code = ErrorCode::kInvalidArgument;
  EXPECT_ERROR(Calculate(""), code, "found the end at character 1, expected a number or '('");
  EXPECT_ERROR(Calculate("2 +"), code, "found the end at character 4");
  EXPECT_ERROR(Calculate("2 ** 3"), code, "found '*' at character 4");
  EXPECT_ERROR(Calculate("2 3"), code, "found '3' at character 3, expected an operator");
  EXPECT_ERROR(Calculate("(2"), code, "found the end at character 3, expected ')'");
  EXPECT_ERROR(Calculate("2)"), code, "found ')'");
  EXPECT_ERROR(Calculate("."), code, "found '.'");
  EXPECT_ERROR(Calculate("1e3"), code, "found 'e'");
  EXPECT_ERROR(Calculate("$5"), code, "found '$'");
  EXPECT_ERROR(Calculate("inf"), code, "found 'i'");
  EXPECT_ERROR(Calculate(std::string("1\0", 2)), code, "expected an operator");
  EXPECT_ERROR(Calculate("1 / (2 - 2)"), code, "division by zero");
  const std::string nines(308, '9');
  EXPECT_ERROR(Calculate(nines + "*" + nines), code, "beyond what a number holds");
  EXPECT_ERROR(Calculate(std::string(400, '9')), code, "expected a number");
  EXPECT_ERROR(Calculate(std::string(100000, '(')), code, "nested deeper than 100");
  EXPECT_ERROR(Calculate(std::string(100000, '-') + "1"), code, "nested deeper than 100");
}

}  // namespace
}  // namespace metier::worlds
