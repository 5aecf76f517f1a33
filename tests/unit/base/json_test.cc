#include "base/json.h"

#include <bit>
#include <cmath>
#include <string>

#include "support/fixtures.h"

namespace metier {
namespace {

using ::testing::HasSubstr;

TEST(ParseJson, KeepsKeysInTheOrderTheyWereWritten) {
  ASSERT_OK_AND_ASSIGN(const Json json, ParseJson(R"({"z":1,"a":{"y":[],"b":2},"m":3})"));
  EXPECT_EQ(DumpCompact(json), R"({"z":1,"a":{"y":[],"b":2},"m":3})");
}

TEST(ParseJson, TellsTheKindsOfNumbersApart) {
  ASSERT_OK_AND_ASSIGN(const Json json,
                       ParseJson("[-9223372036854775808, 18446744073709551615, 1.0, 1e2]"));
  EXPECT_TRUE(json[0].is_number_integer());
  EXPECT_EQ(json[0].get<std::int64_t>(), INT64_MIN);
  EXPECT_EQ(json[1].get<std::uint64_t>(), UINT64_MAX);
  EXPECT_TRUE(json[2].is_number_float());
  EXPECT_TRUE(json[3].is_number_float());
}

TEST(ParseJson, RefusesAKeyThatStandsTwice) {
  EXPECT_ERROR(ParseJson(R"({"a":1,"b":{"a":2},"a":3})"), ErrorCode::kDataCorrupt,
               "key \"a\" stands twice");
  EXPECT_OK(ParseJson(R"([{"a":1},{"a":2,"b":{"a":3}}])"));
}

// Small objects are searched, large ones hashed: a duplicate on either side of the seam is found.
TEST(ParseJson, FindsDuplicatesInObjectsOfEverySize) {
  for (int keys = 1; keys <= 40; ++keys) {
    for (const int twice : {0, keys - 1}) {
      std::string text = "{";
      for (int i = 0; i < keys; ++i) text += "\"k" + std::to_string(i) + "\":0,";
      EXPECT_OK(ParseJson(text + "\"last\":0}"));
      EXPECT_FALSE(ParseJson(text + "\"k" + std::to_string(twice) + "\":0}").ok()) << keys;
    }
  }
}

// A walk of the object per key would take 2e11 comparisons here: the test would run into ctest's
// time limit.
TEST(ParseJson, HugeObjectsCostLinearTime) {
  constexpr int kKeys = 600'000;
  std::string text = "{";
  for (int i = 0; i < kKeys; ++i) text += "\"token" + std::to_string(i) + "\":0,";
  text.back() = '}';
  ASSERT_OK_AND_ASSIGN(const Json json, ParseJson(text));
  EXPECT_EQ(json.size(), kKeys);
}

TEST(ParseJson, LimitsDepth) {
  const Limits limits{.max_json_depth = 4};
  EXPECT_OK(ParseJson("[[[[1]]]]", limits));
  EXPECT_ERROR(ParseJson("[[[[[1]]]]]", limits), ErrorCode::kResourceExhausted, "limit of 4");
  EXPECT_ERROR(ParseJson(R"({"a":{"a":{"a":{"a":{}}}}})", limits), ErrorCode::kResourceExhausted,
               "limit of 4");
  EXPECT_ERROR(ParseJson(std::string(1'000'000, '[')), ErrorCode::kResourceExhausted, "deeper");
}

TEST(ParseJson, LimitsBytes) {
  const Limits limits{.max_json_bytes = 4};
  EXPECT_OK(ParseJson("1234", limits));
  EXPECT_ERROR(ParseJson("12345", limits), ErrorCode::kResourceExhausted, "5 bytes, limit 4");
}

TEST(ParseJson, RefusesWhatIsNotJson) {
  for (const char* text :
       {"", " ", "{", "[1,]", "{\"a\"}", "{\"a\":}", "nul", "NaN", "'a'", "01", "1 2", "\"\\x\"",
        "\"\\ud800\"", "\"\x01\"", "// comment\n1", "{\"a\":1,}", "[1}", "1e400", "-1e400"}) {
    EXPECT_ERROR(ParseJson(text), ErrorCode::kDataCorrupt, "JSON at byte");
  }
}

TEST(ParseJson, RefusesInvalidUtf8) {
  for (const char* text :
       {"\"\xff\"", "\"\xc3\"", "\"\xed\xa0\x80\"", "\"\xc0\xaf\"", "{\"\xf5\x80\x80\x80\":1}"}) {
    EXPECT_ERROR(ParseJson(text), ErrorCode::kDataCorrupt, "JSON at byte");
  }
}

// The library quotes the token it read last; a message must stay one, however long that is.
TEST(ParseJson, MessagesStayShort) {
  const auto unterminated = ParseJson("\"" + std::string(1'000'000, 'x'));
  ASSERT_FALSE(unterminated.ok());
  EXPECT_LT(unterminated.error().message().size(), 400U);
  const std::string key = "\"" + std::string(1'000'000, 'k') + "\":1";
  const auto twice = ParseJson("{" + key + "," + key + "}");
  ASSERT_FALSE(twice.ok());
  EXPECT_LT(twice.error().message().size(), 200U);
}

TEST(ParseJson, EveryTruncationOfADocumentIsAnError) {
  const std::string text = R"({"a":[1,-2.5e3,"\u00e9\n"],"b":{"c":null,"d":true}})";
  ASSERT_OK(ParseJson(text));
  for (std::size_t size = 0; size < text.size(); ++size)
    EXPECT_FALSE(ParseJson(text.substr(0, size)).ok()) << size;
}

TEST(ReadJsonFile, NamesTheFile) {
  const test::TempFolder folder;
  test::WriteAll(folder / "bad.json", "{");
  EXPECT_ERROR(ReadJsonFile(folder / "bad.json"), ErrorCode::kDataCorrupt, "bad.json");
  EXPECT_ERROR(ReadJsonFile(folder / "none.json"), ErrorCode::kNotFound, "none.json");
}

// Expected text: json.dumps(json.loads(TEXT), ensure_ascii=False) of CPython 3.11.
TEST(DumpPython, WritesWhatPythonWrites) {
  ASSERT_OK_AND_ASSIGN(
      const Json json,
      ParseJson(
          R"({"b":[1,2.0,-0.5,true,false,null],"a":{"quote\"\\/":"tab\tnl\nbs\bff\fcr\r\u0001\u001f\u007f"},)"
          R"("é":"\u20ac\ud83d\ude00","empty":[{},[],""],"big":18446744073709551615,"e":1e-7})"));
  EXPECT_EQ(
      DumpPython(json),
      R"({"b": [1, 2.0, -0.5, true, false, null], "a": {"quote\"\\/": "tab\tnl\nbs\bff\fcr\r\u0001\u001f)"
      "\x7f"
      R"("}, "é": "€😀", "empty": [{}, [], ""], "big": 18446744073709551615, "e": 1e-07})");
}

TEST(DumpPython, WritesWhatIsNoNumberAsPythonDoes) {
  const Json json = {std::nan(""), HUGE_VAL, -HUGE_VAL};
  EXPECT_EQ(DumpPython(json), "[NaN, Infinity, -Infinity]");
}

TEST(DumpPython, ReplacesInvalidUtf8) { EXPECT_EQ(DumpPython(Json("a\xff")), "\"a\xef\xbf\xbd\""); }

// Expected text: repr() of CPython 3.11 for the double of these bits.
TEST(PythonFloat, WritesWhatReprWrites) {
  struct Case {
    std::uint64_t bits;
    std::string_view text;
  };
  const Case cases[] = {
      {0x0000000000000000ULL, "0.0"},
      {0x8000000000000000ULL, "-0.0"},
      {0x3ff0000000000000ULL, "1.0"},
      {0xbff0000000000000ULL, "-1.0"},
      {0x3fb999999999999aULL, "0.1"},
      {0x430c6bf526340000ULL, "1000000000000000.0"},
      {0x4341c37937e08000ULL, "1e+16"},
      {0x437b69b4ba630f35ULL, "1.2345678901234568e+17"},
      {0x4340000000000000ULL, "9007199254740992.0"},
      {0x4480f0cf064dd592ULL, "1e+22"},
      {0x44b52d02c7e14af6ULL, "1e+23"},
      {0x3f1a36e2eb1c432dULL, "0.0001"},
      {0x3f1a36371ea531a8ULL, "9.999e-05"},
      {0x3ee4f8b588e368f1ULL, "1e-05"},
      {0x3f202e85be180b74ULL, "0.00012345678901234567"},
      {0xbf202e85be180b74ULL, "-0.00012345678901234567"},
      {0x0000000000000001ULL, "5e-324"},
      {0x7fefffffffffffffULL, "1.7976931348623157e+308"},
      {0x0010000000000000ULL, "2.2250738585072014e-308"},
      {0x3fd5555555555555ULL, "0.3333333333333333"},
      {0x4059000000000000ULL, "100.0"},
      {0x54b249ad2594c37dULL, "1e+100"},
      {0x40091eb851eb851fULL, "3.14"},
      {0x3e90c6f7a0b5ed8dULL, "2.5e-07"},
      {0x4132d68720000000ULL, "1234567.125"},
      {0x4341c37937e07fffULL, "9999999999999998.0"},
      {0x7ff0000000000000ULL, "inf"},
      {0xfff0000000000000ULL, "-inf"},
      {0xf2a74de452e6b438ULL, "-1.989032661366619e+244"},
      {0x6513270e269e0d37ULL, "7.761117632285041e+178"},
      {0x0c5c7fd0a6a3a450ULL, "3.980498358697587e-249"},
      {0xd23f0824128b2f33ULL, "-1.5432835417340557e+88"},
      {0x1818e811892f902bULL, "1.3647584518757569e-192"},
      {0x9531985d5d9dc9f8ULL, "-1.3701135617873088e-206"},
      {0xe8e25d940ed90475ULL, "-1.7160537630466207e+197"},
      {0x36f675cc81e74ef5ULL, "6.294675241195386e-44"},
      {0x1600a35a099950d8ULL, "1.0613447212142254e-202"},
      {0x6b0d549b6f03675aULL, "4.708325160387546e+207"},
      {0x3d9c172411e20b8fULL, "6.387016158513563e-12"},
      {0x8d116ece1738f7d9ULL, "-9.973130378568733e-246"},
  };
  for (const auto& [bits, text] : cases) EXPECT_EQ(PythonFloat(std::bit_cast<double>(bits)), text);
  EXPECT_EQ(PythonFloat(std::nan("")), "nan");
}

TEST(DumpPretty, IndentsByTwoAndEndsTheLine) {
  EXPECT_EQ(DumpPretty(Json{{"a", {1, 2}}}), "{\n  \"a\": [\n    1,\n    2\n  ]\n}\n");
}

}  // namespace
}  // namespace metier
