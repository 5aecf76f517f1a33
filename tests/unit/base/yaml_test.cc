#include <cmath>
#include <string>

#include "base/json.h"
#include "support/fixtures.h"

namespace metier {
namespace {

using ::testing::HasSubstr;

// The value of `text` as compact JSON, or the error's message.
std::string Parsed(const std::string& text) {
  const auto parsed = ParseYaml(text);
  return parsed.ok() ? DumpCompact(*parsed) : parsed.error().message();
}

TEST(ParseYaml, ReadsTheCoreSchema) {
  EXPECT_EQ(Parsed("[null, ~, Null, NULL, , '']"), "[null,null,null,null,null,\"\"]");
  EXPECT_EQ(Parsed("[true, True, TRUE, false, False, FALSE]"),
            "[true,true,true,false,false,false]");
  EXPECT_EQ(Parsed("[0, -1, +7, 007, 0x1F, 0o17]"), "[0,-1,7,7,31,15]");
  EXPECT_EQ(Parsed("[9223372036854775807, -9223372036854775808, 18446744073709551615]"),
            "[9223372036854775807,-9223372036854775808,18446744073709551615]");
  EXPECT_EQ(Parsed("[1.0, -.5, +1.5, 2., 1e3, 1E-2, 5e-324, 1e-999]"),
            "[1.0,-0.5,1.5,2.0,1000.0,0.01,5e-324,0.0]");
  ASSERT_OK_AND_ASSIGN(const Json special, ParseYaml("[.inf, -.Inf, +.INF, .nan]"));
  EXPECT_EQ(special[0], HUGE_VAL);
  EXPECT_EQ(special[1], -HUGE_VAL);
  EXPECT_EQ(special[2], HUGE_VAL);
  EXPECT_TRUE(std::isnan(special[3].get<double>()));
}

TEST(ParseYaml, LeavesEverythingElseText) {
  for (const std::string text :
       {"yes",        "on",  "no",  "inf",   "nan", "nan(1)", "1_000", "0x",
        "0xZ",        "0o8", "1e",  "1.2.3", ".",   "+",      "1e+",   "12:30",
        "2024-01-31", "0b1", "1,5", "--1",   "+-1", "e5",     "tRuE"}) {
    EXPECT_EQ(Parsed("k: " + text), "{\"k\":\"" + text + "\"}");
  }
  EXPECT_EQ(Parsed("['1', \"true\", '~', 'null', '1.0']"), R"(["1","true","~","null","1.0"])");
  EXPECT_EQ(Parsed("|\n  12\n"), "\"12\\n\"");
}

TEST(ParseYaml, HonoursCoreTagsAndRefusesOthersByName) {
  EXPECT_EQ(Parsed("[!!str 12, !!int 12, !!float 1.5, !!bool true, !!null ~]"),
            R"(["12",12,1.5,true,null])");
  EXPECT_EQ(Parsed("!!map {a: !!seq [1]}"), R"({"a":[1]})");
  EXPECT_ERROR(ParseYaml("a: !!int x"), ErrorCode::kDataCorrupt, "!!int");
  EXPECT_ERROR(ParseYaml("a: !!python/object:os.system x"), ErrorCode::kUnsupported,
               "python/object");
  EXPECT_ERROR(ParseYaml("a: 1\nb: !mine [1]"), ErrorCode::kUnsupported, "line 2");
  EXPECT_ERROR(ParseYaml("!!set {a, b}"), ErrorCode::kUnsupported, "set");
}

TEST(ParseYaml, KeepsOrderAndRefusesDuplicates) {
  EXPECT_EQ(Parsed("z: 1\na: 2\nm: {y: 1, b: 2}"), R"({"z":1,"a":2,"m":{"y":1,"b":2}})");
  EXPECT_ERROR(ParseYaml("a: 1\nb: 2\na: 3"), ErrorCode::kDataCorrupt,
               "YAML line 3: key \"a\" stands twice");
  EXPECT_ERROR(ParseYaml("{a: 1, 'a': 2}"), ErrorCode::kDataCorrupt, "stands twice");
}

TEST(ParseYaml, KeysAreText) {
  EXPECT_EQ(Parsed("1: a\n2.0: b\ntrue: c"), R"({"1":"a","2.0":"b","true":"c"})");
  for (const char* text : {"null: 1", "~: 1"})
    EXPECT_ERROR(ParseYaml(text), ErrorCode::kDataCorrupt, "a key that is no text");
  for (const char* text : {"? [a]\n: 1", "{{a: 1}: 2}", "[1, 2", "a: {b: 1"})
    EXPECT_ERROR(ParseYaml(text), ErrorCode::kDataCorrupt, "YAML line 1: ");
}

TEST(ParseYaml, ExpandsAliases) {
  EXPECT_EQ(Parsed("base: &b {x: [1, 2]}\nmine: *b\nkey: &k name\n*k : 3"),
            R"({"base":{"x":[1,2]},"mine":{"x":[1,2]},"key":"name","name":3})");
  EXPECT_ERROR(ParseYaml("a: *b"), ErrorCode::kDataCorrupt, "anchor is not defined");
  EXPECT_ERROR(ParseYaml("&a [*a]"), ErrorCode::kDataCorrupt, "alias of the very node");
  EXPECT_ERROR(ParseYaml("&a {x: {y: *a}}"), ErrorCode::kDataCorrupt, "alias of the very node");
}

TEST(ParseYaml, StopsAliasBombs) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 30; ++i) {
    const std::string alias = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + alias;
    for (int j = 0; j < 8; ++j) bomb += ", " + alias;
    bomb += "]\n";
  }
  EXPECT_ERROR(ParseYaml(bomb), ErrorCode::kResourceExhausted, "aliases expanded");
}

// Each anchor keeps a copy of what is inside: 40 around 100 nodes are 4000 copies.
TEST(ParseYaml, CountsAnchorsAroundAnchors) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "&a" + std::to_string(i) + " [";
  for (int i = 0; i < 100; ++i) text += "x,";
  text += std::string(40, ']');
  EXPECT_OK(ParseYaml(text, {.max_yaml_nodes = 5000}));
  EXPECT_ERROR(ParseYaml(text, {.max_yaml_nodes = 3000}), ErrorCode::kResourceExhausted, "anchors");
}

TEST(ParseYaml, LimitsNodesExactly) {
  EXPECT_OK(ParseYaml("[1, 2, 3]", {.max_yaml_nodes = 4}));
  EXPECT_ERROR(ParseYaml("[1, 2, 3, 4]", {.max_yaml_nodes = 4}), ErrorCode::kResourceExhausted,
               "more than 4 nodes");
  EXPECT_OK(ParseYaml("a: &x [1, 2]\nb: *x", {.max_yaml_nodes = 9}));
  EXPECT_FALSE(ParseYaml("a: &x [1, 2]\nb: *x", {.max_yaml_nodes = 8}).ok());
}

TEST(ParseYaml, LimitsDepthOfEveryKindOfNesting) {
  std::string indented;
  for (int i = 0; i < 2000; ++i) indented += std::string(static_cast<std::size_t>(i), ' ') + "k:\n";
  std::string dashes;
  for (int i = 0; i < 10'000; ++i) dashes += "- ";
  std::string braces;
  for (int i = 0; i < 10'000; ++i) braces += "{k: ";
  braces += std::string(10'000, '}');
  std::string questions;
  for (int i = 0; i < 10'000; ++i) questions += "? ";
  for (const std::string& text :
       {std::string(10'000, '[') + std::string(10'000, ']'), braces, indented, dashes}) {
    EXPECT_ERROR(ParseYaml(text), ErrorCode::kResourceExhausted, "nested");
  }
  EXPECT_FALSE(ParseYaml(questions).ok());
  EXPECT_OK(ParseYaml("[[[1]]]", {.max_json_depth = 3}));
  EXPECT_FALSE(ParseYaml("[[[[1]]]]", {.max_json_depth = 3}).ok());
}

TEST(ParseYaml, TextIsNoNesting) {
  EXPECT_OK(ParseYaml("a: |\n  " + std::string(10'000, '[') + "\nb: \"" + std::string(5000, '{') +
                      "\"\n# " + std::string(9000, '-')));
}

TEST(ParseYaml, OneDocument) {
  EXPECT_EQ(Parsed(""), "null");
  EXPECT_EQ(Parsed("# nothing\n"), "null");
  EXPECT_EQ(Parsed("---\na: 1\n...\n"), R"({"a":1})");
  EXPECT_ERROR(ParseYaml("a: 1\n---\nb: 2"), ErrorCode::kDataCorrupt, "second document");
}

TEST(ParseYaml, RefusesCharactersThatTheLibraryWouldSwallow) {
  EXPECT_ERROR(ParseYaml("a: 1\nb: \xff"), ErrorCode::kDataCorrupt, "line 2: byte 8 is not UTF-8");
  EXPECT_ERROR(ParseYaml(std::string("\xff\xfe"
                                     "a\0:\0",
                                     6)),
               ErrorCode::kDataCorrupt, "not UTF-8");
  EXPECT_ERROR(ParseYaml("a: 1\x04\nb: 2"), ErrorCode::kDataCorrupt, "control character \\x04");
  EXPECT_ERROR(ParseYaml(std::string("a: 1\0b: 2", 9)), ErrorCode::kDataCorrupt, "\\x00");
  EXPECT_EQ(Parsed("a: \"\\x04\""), "{\"a\":\"\\u0004\"}");
  EXPECT_EQ(Parsed("é: 日本"), "{\"é\":\"日本\"}");
}

TEST(ParseYaml, SyntaxErrorsNameTheLine) {
  EXPECT_ERROR(ParseYaml("a: 1\nb: [1,\nc: 2"), ErrorCode::kDataCorrupt, "YAML line");
  EXPECT_ERROR(ParseYaml("a: 1\n\tb: 2"), ErrorCode::kDataCorrupt, "YAML line 2");
  EXPECT_ERROR(ParseYaml("a: b: c"), ErrorCode::kDataCorrupt, "YAML line 1");
  EXPECT_ERROR(ParseYaml("k: 1e999"), ErrorCode::kDataCorrupt, "too large");
  EXPECT_ERROR(ParseYaml("k: 1", {.max_yaml_bytes = 3}), ErrorCode::kResourceExhausted, "limit 3");
}

// A walk of the mapping per key would take 2e10 comparisons of text: minutes under the sanitizers.
TEST(ParseYaml, LargeMappingsCostLinearTime) {
  std::string text;
  constexpr int kKeys = 200'000;
  for (int i = 0; i < kKeys; ++i) text += "key" + std::to_string(i) + ": 1\n";
  ASSERT_OK_AND_ASSIGN(const Json json, ParseYaml(text));
  EXPECT_EQ(json.size(), kKeys);
}

TEST(ReadYamlFile, NamesTheFile) {
  const test::TempFolder folder;
  test::WriteAll(folder / "bad.yaml", "a: [");
  EXPECT_ERROR(ReadYamlFile(folder / "bad.yaml"), ErrorCode::kDataCorrupt, "bad.yaml");
}

}  // namespace
}  // namespace metier
