// Schemas as grammars: which texts they accept, keyword by keyword, and what is refused by name.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "grammar/grammar.h"
#include "support/fixtures.h"

namespace metier::grammar {
namespace {

struct SchemaCase {
  std::string name;
  std::string schema;
  std::vector<std::string> accepted;
  std::vector<std::string> refused;
};
void PrintTo(const SchemaCase& one, std::ostream* out) { *out << one.name; }

class SchemaGrammar : public ::testing::TestWithParam<SchemaCase> {};

TEST_P(SchemaGrammar, AcceptsWhatIsValid) {
  const SchemaCase& one = GetParam();
  ASSERT_OK_AND_ASSIGN(const Json schema, ParseJson(one.schema));
  ASSERT_OK_AND_ASSIGN(const Grammar grammar, Grammar::OfSchema(schema));
  for (const std::string& text : one.accepted) EXPECT_TRUE(grammar.Accepts(text)) << text;
  for (const std::string& text : one.refused) EXPECT_FALSE(grammar.Accepts(text)) << text;
}

const SchemaCase kSchemas[] = {
    {"Anything",
     "true",
     {"1", "\"a\"", "[1, [true, null], {\"a\": {}}]", "{ \"a\" : 1 ,\n\"b\":[ ] }", "-1.5e-7"},
     {"", "[1", "{\"a\"}", "{a: 1}", "[1,]", "\"\n\"", "01", "tru", "1 2"}},
    {"Types",
     R"({"type": ["integer", "null", "boolean"]})",
     {"12", "null", "false"},
     {"1.5", "\"1\"", "[]", "{}"}},
    {"Enums",
     R"({"enum": ["a\"b", 1.5, null, [1, {"k": "v"}], {"x": true}]})",
     {R"("a\"b")", "1.5", "1.50", "null", R"([1, {"k": "v"}])", R"({"x":true})"},
     {R"("a")", "2", "true", R"([1, {"k": "w"}])", R"({"x":false})", R"({"x":true,"y":1})", "{}"}},
    {"Lengths",
     R"({"type": "string", "minLength": 2, "maxLength": 3})",
     {R"("ab")", "\"\xE2\x82\xAC\xF0\x9F\x98\x80\"", R"("\n\"a")", R"("\ud83d\ude00a")"},
     {R"("a")", R"("abcd")", R"("\ud83d\ude00")", R"("\ud83d")"}},
    {"Patterns",
     R"({"type": "string", "pattern": "^[A-Z]{2}\\d+$", "maxLength": 5, "not": {"const": "AB1"}})",
     {R"("AB12")", R"("XY123")"},
     {R"("AB1")", R"("XY1234")", R"("ab12")", R"("XY")"}},
    {"Formats",
     R"({"properties": {"d": {"format": "date"}, "u": {"format": "uuid"}}})",
     {R"({"d": "2024-02-29"})", R"({"u": "12345678-1234-1234-1234-1234567890aB"})", R"({"d": 7})"},
     {R"({"d": "2023-02-29"})", R"({"d": "2024-13-01"})", R"({"u": "1234"})"}},
    {"Members",
     R"({"type": "object", "properties": {"a": {"type": "integer"}, "ab": {"type": "string"}},
         "required": ["ab"], "additionalProperties": false})",
     {R"({"ab": "x"})", R"({"a":1,"ab":"x"})", R"({"ab":"x","a":1})"},
     {"{}", R"({"a":1})", R"({"ab":1})", R"({"ab":"x","b":1})", R"({"ab":"x","ab":"y"})"}},
    {"OtherMembers",
     R"({"properties": {"a": {"type": "integer"}}, "patternProperties": {"^x-": {"type": "string"}},
         "additionalProperties": {"type": "boolean"}})",
     {R"({"a":1,"x-b":"c","d":true})", "{}", R"({"x-":""})", R"({"\"\\":true})"},
     {R"({"x-b":1})", R"({"d":1})", R"({"a":true})", R"({"\u0061":true})"}},
    {"Counts",
     R"({"type": "object", "properties": {"a": true, "b": true, "c": true}, "required": ["a"],
         "additionalProperties": false, "minProperties": 2, "maxProperties": 2})",
     {R"({"a":1,"b":1})", R"({"c":1,"a":1})"},
     {R"({"a":1})", R"({"b":1,"c":1})", R"({"a":1,"b":1,"c":1})"}},
    {"Dependencies",
     R"({"type": "object", "dependentRequired": {"card": ["name"]},
         "dependentSchemas": {"name": {"properties": {"name": {"type": "string"}}}}})",
     {"{}", R"({"name":"a"})", R"({"card":1,"name":"a"})", R"({"name":"a","card":1})"},
     {R"({"card":1})", R"({"name":1})"}},
    {"Items",
     R"({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}],
         "items": {"type": "boolean"}, "minItems": 1, "maxItems": 4})",
     {"[1]", "[1,\"a\"]", "[1, \"a\", true, false]"},
     {"[]", "[\"a\"]", "[1,2]", "[1,\"a\",3]", "[1,\"a\",true,true,true]"}},
    {"DistinctItems",
     R"({"type": "array", "uniqueItems": true, "minItems": 1,
         "items": {"anyOf": [{"enum": ["a", "ab", 1.5]}, {"type": "integer", "minimum": 8, "maximum": 12}]}})",
     {R"(["ab"])", R"(["a", 10, "ab", 1.5])", "[10,11,12,8,9]", R"(["ab","a"])"},
     {"[]", R"(["a","a"])", R"([10,1.5,10])", "[1.50]", "[8.0]", R"(["abc"])"}},
    {"DistinctTexts",
     R"({"type": "array", "uniqueItems": true, "items": {"type": "string"}})",
     {"[]", R"(["", "a", "a\"", "aa"])"},
     {R"(["a","b","a"])", R"(["\u0061","b"])", "[1]"}},
    {"Contains",
     R"({"type": "array", "contains": {"const": 7}, "items": {"type": "integer"}, "maxItems": 3})",
     {"[7]", "[1,7,2]", "[7,7,7]", "[1,2,7]"},
     {"[]", "[1]", "[1,2,3]", "[1,2,3,7]", "[7.5,7]"}},
    {"ContainsNothing",
     R"({"type": "array", "not": {"contains": {"type": "integer"}}, "minItems": 1})",
     {"[\"a\"]", "[1.5, null]"},
     {"[]", "[1]", "[\"a\", 2]"}},
    {"NotItems",
     R"({"type": "array", "prefixItems": [{"type": "integer"}],
         "not": {"items": {"type": "integer"}, "prefixItems": [{"minimum": 5}]}})",
     {"[1]", "[7,1,\"a\"]", "[7,null,3]", "[1,2]"},
     {"[]", "[7]", "[7,1,2]", "[\"a\"]"}},
    {"NotMembers",
     R"({"type": "object", "properties": {"a": {"type": "integer"}, "b": true},
         "not": {"properties": {"a": {"minimum": 5}}, "additionalProperties": {"type": "string"}}})",
     {R"({"a":1})", R"({"a":7,"b":2})", R"({"a":7,"c":null})", R"({"c":"x","d":[]})"},
     {"{}", R"({"a":7})", R"({"a":7,"c":"x"})", R"({"b":"x"})"}},
    {"OneOfClosed",
     R"({"oneOf": [{"type": "object", "properties": {"a": true}, "additionalProperties": false},
                   {"type": "object", "properties": {"a": true, "b": true}, "additionalProperties": false}]})",
     {R"({"b":1})", R"({"a":1,"b":2})", R"({"b":1,"a":2})"},
     {"{}", R"({"a":1})", R"({"c":1})"}},
    {"OldItems",
     R"({"$schema": "http://json-schema.org/draft-07/schema#",
         "items": [{"type": "integer"}], "additionalItems": false})",
     {"[]", "[1]", "\"no array\""},
     {"[1,2]", "[\"a\"]"}},
    {"References",
     R"({"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "required": ["value"],
         "properties": {"value": {"type": "integer"},
                        "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}}})",
     {R"({"value":1,"children":[{"value":2,"children":[]},{"value":3}]})"},
     {R"({"value":1,"children":[{"children":[]}]})"}},
    {"AllOf",
     R"({"allOf": [{"type": "object", "properties": {"a": {"minimum": 1}}, "required": ["a"]},
                   {"properties": {"a": {"type": "integer", "maximum": 3}}}]})",
     {R"({"a":1})", R"({"a":3,"b":[]})"},
     {R"({"a":0})", R"({"a":4})", R"({"a":2.5})", "{}"}},
    {"OneOf",
     R"({"oneOf": [{"type": "integer"}, {"minimum": 2}]})",
     {"1", "2.5", "\"text\"", "-3"},
     {"2", "7", "1.5"}},
    {"Tagged",
     R"({"oneOf": [{"properties": {"t": {"const": "a"}, "x": {"type": "integer"}}, "required": ["t", "x"]},
                   {"properties": {"t": {"const": "b"}, "x": {"type": "string"}}, "required": ["t", "x"]}],
         "type": "object"})",
     {R"({"t":"a","x":1})", R"({"x":"s","t":"b"})"},
     {R"({"t":"a","x":"s"})", R"({"x":1,"t":"b"})", R"({"t":"c","x":1})"}},
    {"IfThenElse",
     R"({"type": "object", "properties": {"k": {"enum": ["x", "y"]}, "n": {"type": "integer"}},
         "required": ["k"], "if": {"properties": {"k": {"const": "x"}}},
         "then": {"required": ["n"]}, "else": {"properties": {"n": false}}})",
     {R"({"k":"x","n":1})", R"({"n":1,"k":"x"})", R"({"k":"y"})"},
     {R"({"k":"x"})", R"({"k":"y","n":1})", R"({"n":1,"k":"y"})"}},
    {"Not",
     R"({"type": ["string", "integer"], "not": {"enum": ["no", 5]}})",
     {"\"yes\"", "4", "\"noo\""},
     {"\"no\"", "5"}},
    {"Names",
     R"({"type": "object", "propertyNames": {"pattern": "^[a-z]+$", "maxLength": 3},
         "additionalProperties": {"type": "integer"}})",
     {R"({"abc":1,"z":2})", "{}"},
     {R"({"abcd":1})", R"({"A":1})", R"({"":1})"}},
    {"Multiples",
     R"({"type": "number", "multipleOf": 0.05, "minimum": -1, "exclusiveMaximum": 1})",
     {"0.05", "-1", "0.95", "0.5", "0"},
     {"1", "0.01", "-1.05", "1e0"}},
};
INSTANTIATE_TEST_SUITE_P(Keywords, SchemaGrammar, ::testing::ValuesIn(kSchemas),
                         [](const auto& one) { return one.param.name; });

TEST(SchemaGrammars, RefuseByName) {
  const auto refused = [](std::string_view text, ErrorCode code, const std::string& why) {
    SCOPED_TRACE(text);
    ASSERT_OK_AND_ASSIGN(const Json schema, ParseJson(text));
    EXPECT_ERROR(Grammar::OfSchema(schema), code, why);
  };
  const auto unsupported = ErrorCode::kUnsupported;
  const auto invalid = ErrorCode::kInvalidArgument;
  refused("7", invalid, "expected an object or a boolean");
  refused(R"({"properties": {"a": {"type": "strin"}}})", invalid, "#/properties/a': type is");
  refused(R"({"minLength": -1})", invalid, "minLength is -1, expected a count");
  refused(R"({"anyOf": {}})", invalid, "a list of schemas");
  refused(R"({"$ref": "#/$defs/none"})", ErrorCode::kNotFound, "has no '$defs'");
  refused(R"({"$ref": "https://other.example/a.json"})", unsupported, "others are not read");
  refused(R"({"$schema": "urn:mine"})", unsupported, "$schema");
  refused(R"({"items": {"pattern": "(a)\\1"}})", unsupported,
          "#/items': pattern: regular expression");
  refused(R"({"contains": {"type": "integer"}, "maxContains": 2})", unsupported, "contains");
  refused(R"({"not": {"multipleOf": 3}})", unsupported, "multipleOf: the opposite");
  refused(R"({"properties": {"a": {"type": "array", "uniqueItems": true}}})", unsupported,
          "schema '#/properties/a': uniqueItems: of arrays and objects");
  refused("false", ErrorCode::kDataCorrupt, "no value is valid");
  refused(R"({"type": "string", "enum": [1, 2]})", ErrorCode::kDataCorrupt, "no value is valid");
  refused(R"({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}})",
          ErrorCode::kDataCorrupt, "no value is valid");
  // What cannot be written is of no matter where it cannot be.
  ASSERT_OK_AND_ASSIGN(const Json harmless,
                       ParseJson(R"({"type": "string", "contains": true, "maxContains": 2})"));
  EXPECT_OK(Grammar::OfSchema(harmless));
}

TEST(SchemaGrammars, LimitsHold) {
  Json schema = {{"allOf", Json::array()}};
  for (int i = 0; i < 20; ++i) {
    const std::string name = "p" + std::to_string(i);
    schema["allOf"].push_back({{"anyOf", {{{"required", {name}}}, {{"required", {name + "x"}}}}}});
  }
  EXPECT_ERROR(Grammar::OfSchema(schema), ErrorCode::kResourceExhausted, "alternatives");
  SchemaLimits few;
  few.max_nodes = 10;
  Json deep = {{"properties", Json::object()}};
  for (int i = 0; i < 20; ++i) deep["properties"]["p" + std::to_string(i)] = {{"maxLength", i}};
  EXPECT_ERROR(Grammar::OfSchema(deep, {}, few), ErrorCode::kResourceExhausted, "different parts");
}

TEST(SchemaGrammars, WhiteSpaceIsAsAsked) {
  ASSERT_OK_AND_ASSIGN(const Grammar none, Grammar::OfSchema(Json(true), {.most_space = 0}));
  EXPECT_TRUE(none.Accepts("{\"a\":[1,2]}"));
  EXPECT_FALSE(none.Accepts("{\"a\": [1,2]}"));
  ASSERT_OK_AND_ASSIGN(const Grammar some, Grammar::OfSchema(Json(true), {.most_space = 2}));
  EXPECT_TRUE(some.Accepts("[1,  2]"));
  EXPECT_FALSE(some.Accepts("[1,   2]"));
}

TEST(SchemaGrammars, NestingEndsWhereItIsAsked) {
  ASSERT_OK_AND_ASSIGN(const Grammar grammar, Grammar::OfSchema(Json(true), {.most_nested = 5}));
  EXPECT_TRUE(grammar.Accepts("[[[[[]]]]]"));
  EXPECT_FALSE(grammar.Accepts("[[[[[[]]]]]]"));
}

}  // namespace
}  // namespace metier::grammar
