// Bounds of numbers as automata, against arithmetic.
#include "grammar/schema/number_rules.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/rng.h"
#include "support/fixtures.h"

namespace metier::grammar {
namespace {

// Thousandths of a number as it is written.
std::int64_t Thousandths(const std::string& text) {
  const std::size_t point = std::min(text.find('.'), text.size());
  std::string digits = text.substr(0, point);
  std::string fraction = point < text.size() ? text.substr(point + 1) : "";
  fraction.resize(3, '0');
  const std::int64_t value = std::stoll(digits + fraction);
  return value;
}

std::string Written(std::int64_t thousandths, int digits) {
  std::string text = std::to_string(std::abs(thousandths) % 1000 + 1000).substr(1);
  text = std::to_string(std::abs(thousandths) / 1000) + "." + text;
  text.resize(text.size() - static_cast<std::size_t>(digits == 0 ? 4 : 3 - digits));
  return (thousandths < 0 ? "-" : "") + text;
}

TEST(NumberRules, BoundsAreThoseOfArithmetic) {
  Rng rng(1);
  const auto random = [&](std::int64_t most) {
    const std::int64_t scale = rng.Below(3) == 0 ? 1000 : rng.Below(2) == 0 ? 100 : 1;
    return (static_cast<std::int64_t>(rng.Below(static_cast<std::uint64_t>(2 * most))) - most) /
           scale * scale;
  };
  int accepted = 0;
  for (int i = 0; i < 300; ++i) {
    const std::int64_t size = i % 3 == 0 ? 3000 : i % 3 == 1 ? 20000 : 2000000;
    const std::int64_t least = random(size);
    const std::int64_t most = random(size);
    NumberRules rules;
    const auto bound = [&](std::int64_t value, bool open) {
      return NumberRules::Bound{DecimalOf(Json(static_cast<double>(value) / 1000)), open};
    };
    const bool open_least = rng.Below(2) == 0;
    const bool open_most = rng.Below(2) == 0;
    if (i % 5 != 0) rules.least = bound(least, open_least);
    if (i % 5 != 1) rules.most = bound(most, open_most);
    const std::int64_t step = static_cast<std::int64_t>(rng.Below(60)) * 25;
    if (step > 0 && i % 2 == 0)
      rules.multiples_of = {DecimalOf(Json(static_cast<double>(step) / 1000))};
    ASSERT_OK_AND_ASSIGN(const Dfa dfa, LanguageOf(rules, {}));
    for (int t = 0; t < 60; ++t) {
      std::int64_t value = random(size);
      if (t == 0) value = least;
      if (t == 1) value = most;
      if (t == 2) value = 0;
      const int digits = static_cast<int>(rng.Below(4));
      const std::string text = Written(value, digits);
      value = Thousandths(text);
      if (text.front() == '-' && value > 0) value = -value;
      const bool inside = (!rules.least || value > least || (value == least && !open_least)) &&
                          (!rules.most || value < most || (value == most && !open_most)) &&
                          (rules.multiples_of.empty() || value % step == 0);
      ASSERT_EQ(!dfa.empty() && dfa.Accepts(text), inside)
          << text << " in " << least << ".." << most << " step " << step;
      accepted += inside ? 1 : 0;
    }
  }
  EXPECT_GT(accepted, 1000);
}

TEST(NumberRules, FormsAreThoseOfJson) {
  ASSERT_OK_AND_ASSIGN(const Dfa numbers, LanguageOf(NumberRules(), {}));
  for (const char* text : {"0", "-0", "12", "1.50", "1e5", "-1.25E-07", "1e+99"})
    EXPECT_TRUE(numbers.Accepts(text)) << text;
  for (const char* text : {"", "-", "01", "1.", ".5", "1e", "1e100", "+1", "0x1", "--1", "1.2.3"})
    EXPECT_FALSE(numbers.Accepts(text)) << text;
  ASSERT_OK_AND_ASSIGN(const Dfa integers, LanguageOf({.integer = true}, {}));
  EXPECT_TRUE(integers.Accepts("-120"));
  EXPECT_FALSE(integers.Accepts("1.0"));
}

TEST(NumberRules, EnumsAreValuesNotSpellings) {
  NumberRules rules;
  rules.allowed = {DecimalOf(Json(1)), DecimalOf(Json(-2.5)), DecimalOf(Json(1e3))};
  rules.refused = {DecimalOf(Json(1000))};
  ASSERT_OK_AND_ASSIGN(const Dfa dfa, LanguageOf(rules, {}));
  for (const char* text : {"1", "1.0", "-2.5", "-2.50"}) EXPECT_TRUE(dfa.Accepts(text)) << text;
  for (const char* text : {"2.5", "1000", "-2", "10", "1.01"})
    EXPECT_FALSE(dfa.Accepts(text)) << text;
}

TEST(NumberRules, DecimalsAreExact) {
  EXPECT_EQ(DecimalOf(Json(1e-7)), (Decimal{false, "", "0000001"}));
  EXPECT_EQ(DecimalOf(Json(-120.50)), (Decimal{true, "120", "5"}));
  EXPECT_EQ(DecimalOf(Json(1e21)), (Decimal{false, "1" + std::string(21, '0'), ""}));
  EXPECT_EQ(DecimalOf(Json(-0.0)), Decimal());
  EXPECT_EQ(DecimalOf(Json(18446744073709551615ULL)), (Decimal{false, "18446744073709551615", ""}));
}

TEST(NumberRules, BothRulesHold) {
  NumberRules rules{.integer = false, .least = NumberRules::Bound{DecimalOf(Json(2)), false}};
  rules.And({.integer = true, .least = NumberRules::Bound{DecimalOf(Json(2)), true}});
  rules.And({.most = NumberRules::Bound{DecimalOf(Json(4.5)), false}});
  ASSERT_OK_AND_ASSIGN(const Dfa dfa, LanguageOf(rules, {}));
  EXPECT_FALSE(dfa.Accepts("2"));
  EXPECT_TRUE(dfa.Accepts("3"));
  EXPECT_TRUE(dfa.Accepts("4"));
  EXPECT_FALSE(dfa.Accepts("5"));
  EXPECT_FALSE(dfa.Accepts("3.5"));
}

TEST(NumberRules, RefusesManyRemainders) {
  NumberRules rules;
  rules.multiples_of = {DecimalOf(Json(123456789))};
  EXPECT_ERROR(LanguageOf(rules, {}), ErrorCode::kUnsupported, "123456789 has too many remainders");
}

}  // namespace
}  // namespace metier::grammar
