// Numbers without rounding, and equality of values.
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "grammar/validator/json_value.h"
#include "grammar/validator/number.h"
#include "support/fixtures.h"

namespace metier::grammar::validator {
namespace {

Json Value(const std::string& text) {
  auto parsed = ParseJson(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return parsed.ok() ? std::move(parsed).value() : Json();
}

Number NumberOf(const std::string& text) { return Number::From(Value(text)).value(); }

TEST(SchemaNumber, MultiplesAreExactInDecimals) {
  const struct {
    const char* value;
    const char* step;
    bool multiple;
  } cases[] = {
      {"19.99", "0.01", true},
      {"0.07", "0.01", true},  // 0.07 / 0.01 is 7.000000000000001 in doubles
      {"1.1", "0.1", true},
      {"0.3", "0.1", true},
      {"0.30000000000000004", "0.1", false},
      {"1.005", "0.01", false},
      {"4.35", "0.01", true},
      {"-7.5", "2.5", true},
      {"0", "0.3", true},
      {"-0.0", "7", true},
      {"1e308", "0.5", true},
      {"1e308", "0.123456789", false},
      {"1e-300", "1e-308", true},
      {"1e-308", "1e-300", false},
      {"2e-7", "1e-6", false},
      {"1.5e-5", "5e-6", true},
      {"1.5e300", "1e-300", true},
      {"7", "1e308", false},
      {"9007199254740993", "2", false},  // 2^53 + 1, which no double holds
      {"9007199254740993", "3", true},
      {"18446744073709551615", "5", true},  // 2^64 - 1
      {"18446744073709551615", "2", false},
      {"-9223372036854775808", "1024", true},
      {"12391239123", "1e-8", true},
      {"3", "0.0000000000000000000001", true},
      {"18446744073709551615", "18446744073709551614", false},
  };
  for (const auto& [value, step, multiple] : cases) {
    EXPECT_EQ(NumberOf(value).IsMultipleOf(NumberOf(step)), multiple) << value << " of " << step;
  }
}

TEST(SchemaNumber, OrderIsExactBetweenIntegersAndDoubles) {
  // Ascending, each strictly.
  const std::vector<std::string> ascending = {"-1e300",
                                              "-18446744073709551616.0",
                                              "-9223372036854775808",
                                              "-9223372036854775807",
                                              "-3.5",
                                              "-3",
                                              "-2.5",
                                              "-1e-300",
                                              "0",
                                              "5e-324",
                                              "0.5",
                                              "1",
                                              "9007199254740992.0",
                                              "9007199254740993",
                                              "9007199254740994.0",
                                              "9223372036854775807",
                                              "9223372036854775808.0",
                                              "18446744073709551615",
                                              "18446744073709551616.0",
                                              "1e300"};
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    for (std::size_t j = 0; j < ascending.size(); ++j) {
      const int order = NumberOf(ascending[i]).Compare(NumberOf(ascending[j]));
      EXPECT_EQ(order < 0, i < j) << ascending[i] << " " << ascending[j];
      EXPECT_EQ(order == 0, i == j) << ascending[i] << " " << ascending[j];
    }
  }
}

TEST(SchemaNumber, EqualNumbersHaveEqualHashes) {
  const char* pairs[][2] = {{"1", "1.0"},
                            {"0", "-0.0"},
                            {"-5", "-5.0"},
                            {"9007199254740992", "9007199254740992.0"},
                            {"9223372036854775808", "9.223372036854775808e18"}};
  for (const auto& [a, b] : pairs) {
    EXPECT_EQ(NumberOf(a).Compare(NumberOf(b)), 0) << a;
    EXPECT_EQ(NumberOf(a).Hash(), NumberOf(b).Hash()) << a;
  }
}

TEST(SchemaNumber, WholeNumbersInEitherSpelling) {
  EXPECT_TRUE(NumberOf("1.0").IsInteger());
  EXPECT_TRUE(NumberOf("1e300").IsInteger());
  EXPECT_FALSE(NumberOf("1.5").IsInteger());
  EXPECT_FALSE(Number::From(Json(std::numeric_limits<double>::infinity()))->IsInteger());
  EXPECT_FALSE(Number::From(Json(std::nan("")))->IsMultipleOf(NumberOf("1")));
  EXPECT_EQ(CountFrom(Value("2.0")), 2U);
  EXPECT_EQ(CountFrom(Value("1e30")), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(CountFrom(Value("-1")), std::nullopt);
  EXPECT_EQ(CountFrom(Value("2.5")), std::nullopt);
  EXPECT_EQ(CountFrom(Value("\"2\"")), std::nullopt);
}

TEST(SchemaValues, EqualityIsThatOfTheDrafts) {
  const struct {
    const char* a;
    const char* b;
    bool equal;
  } cases[] = {
      {"1", "1.0", true},
      {"false", "0", false},
      {"true", "1", false},
      {"null", "false", false},
      {"\"1\"", "1", false},
      {"9007199254740993", "9007199254740992.0", false},
      {R"({"a":1,"b":[2]})", R"({"b":[2.0],"a":1})", true},
      {R"({"a":1})", R"({"a":1,"b":2})", false},
      {R"({"a":1})", R"({"b":1})", false},
      {"[1,2]", "[2,1]", false},
      {"[[]]", "[{}]", false},
  };
  for (const auto& [a, b, equal] : cases) {
    EXPECT_EQ(EqualJson(Value(a), Value(b)), equal) << a << " " << b;
    EXPECT_EQ(EqualJson(Value(b), Value(a)), equal) << b << " " << a;
    if (!equal) continue;
    EXPECT_EQ(HashJson(Value(a)), HashJson(Value(b))) << a;
  }
}

// Above a dozen members both kinds of containers are compared by hash.
TEST(SchemaValues, LargeContainersAreComparedAlike) {
  Json forward = Json::object();
  Json backward = Json::object();
  Json items = Json::array();
  for (int i = 0; i < 1000; ++i) {
    forward["k" + std::to_string(i)] = i;
    backward["k" + std::to_string(999 - i)] = 999.0 - i;
    items.push_back({{"n", i}});
  }
  EXPECT_TRUE(EqualJson(forward, backward));
  EXPECT_EQ(HashJson(forward), HashJson(backward));
  backward["k7"] = 8;
  EXPECT_FALSE(EqualJson(forward, backward));
  EXPECT_EQ(FindEqualItems(items), std::nullopt);
  items.push_back({{"n", 7.0}});
  const auto equal = FindEqualItems(items);
  ASSERT_TRUE(equal.has_value());
  EXPECT_EQ(equal->first, 7U);
  EXPECT_EQ(equal->second, 1000U);
  EXPECT_TRUE(ValueSet(items).Contains(Value(R"({"n":999.0})")));
  EXPECT_FALSE(ValueSet(items).Contains(Value(R"({"n":1000})")));
}

TEST(SchemaValues, DepthIsMeasuredWithoutRecursion) {
  Json deep = 1;
  for (int i = 0; i < 5; ++i) deep = Json::array({deep});
  EXPECT_TRUE(NestsWithin(deep, 5));
  EXPECT_FALSE(NestsWithin(deep, 4));
  EXPECT_TRUE(NestsWithin(Value(R"({"a":[{}]})"), 3));
  EXPECT_FALSE(NestsWithin(Value(R"({"a":[{}]})"), 2));
}

}  // namespace
}  // namespace metier::grammar::validator
