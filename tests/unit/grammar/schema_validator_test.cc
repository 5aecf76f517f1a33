// What a validator says: verdicts, places, words; for each keyword the first thing it complains of.
#include "grammar/schema_validator.h"

#include <string>
#include <vector>

#include "support/fixtures.h"

namespace metier::grammar {
namespace {

Json Parsed(const std::string& text) {
  auto parsed = ParseJson(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return parsed.ok() ? std::move(parsed).value() : Json();
}

// The first violation as text, "" for a valid instance, or the error.
std::string FirstComplaint(const std::string& schema, const std::string& instance,
                           const SchemaOptions& options = {}) {
  const auto validator = SchemaValidator::Compile(Parsed(schema), options);
  if (!validator.ok()) return "refused: " + validator.error().message();
  const auto valid = validator->Validate(Parsed(instance));
  return valid.ok() ? "" : valid.error().message();
}

struct Complaint {
  const char* schema;
  const char* instance;
  const char* text;
};

TEST(SchemaValidator, EveryKeywordSaysWhatItFoundAndExpected) {
  const Complaint cases[] = {
      {"false", "1", "the document: found 1, expected no value here (schema #)"},
      {R"({"type":"integer"})", R"("9")",
       R"(the document: found "9", expected integer (schema #/type))"},
      {R"({"type":["string","null"]})", "[1,2]",
       "the document: found an array of 2 items, expected null or string (schema #/type)"},
      {R"({"enum":[1,"a"]})", "2",
       R"(the document: found 2, expected one of [1,"a"] (schema #/enum))"},
      {R"({"const":{"a":1}})", "{}",
       R"(the document: found an empty object, expected {"a":1} (schema #/const))"},
      {R"({"minimum":3})", "2", "the document: found 2, expected at least 3 (schema #/minimum)"},
      {R"({"exclusiveMinimum":3})", "3",
       "the document: found 3, expected more than 3 (schema #/exclusiveMinimum)"},
      {R"({"maximum":-1.5})", "0",
       "the document: found 0, expected at most -1.5 (schema #/maximum)"},
      {R"({"exclusiveMaximum":3})", "3.0",
       "the document: found 3.0, expected less than 3 (schema #/exclusiveMaximum)"},
      {R"({"multipleOf":0.01})", "0.015",
       "the document: found 0.015, expected a multiple of 0.01 (schema #/multipleOf)"},
      {R"({"minLength":2})", R"("é")",
       "the document: found \"é\" (1 character), expected at least 2 characters (schema "
       "#/minLength)"},
      {R"({"maxLength":1})", R"("ab")",
       "the document: found \"ab\" (2 characters), expected at most 1 character (schema "
       "#/maxLength)"},
      {R"({"pattern":"^a$"})", R"("b")",
       R"(the document: found "b", expected text that matches '^a$' (schema #/pattern))"},
      {R"({"minItems":1})", "[]",
       "the document: found an empty array, expected at least 1 item (schema #/minItems)"},
      {R"({"maxItems":2})", "[1,2,3]",
       "the document: found an array of 3 items, expected at most 2 items (schema #/maxItems)"},
      {R"({"uniqueItems":true})", R"([1,"x",1.0])",
       "the document: found items 0 and 2 equal, expected all items different (schema "
       "#/uniqueItems)"},
      {R"({"contains":{"type":"null"}})", "[1]",
       "the document: found 0 of 1 items, expected at least 1 item that fit the schema of "
       "'contains' (schema #/contains)"},
      {R"({"contains":true,"minContains":3})", "[1,2]",
       "the document: found 2 of 2 items, expected at least 3 items that fit the schema of "
       "'contains' (schema #/minContains)"},
      {R"({"contains":true,"maxContains":1})", "[1,2]",
       "the document: found more than 1 item, expected at most 1 item that fit the schema of "
       "'contains' (schema #/maxContains)"},
      {R"({"minProperties":2})", R"({"a":1})",
       "the document: found an object with 1 property, expected at least 2 properties (schema "
       "#/minProperties)"},
      {R"({"maxProperties":0})", R"({"a":1})",
       "the document: found an object with 1 property, expected at most 0 properties (schema "
       "#/maxProperties)"},
      {R"({"required":["a","b"]})", R"({"a":1})",
       "the document: found an object with 1 property without \"b\", expected that property "
       "(schema #/required)"},
      {R"({"dependentRequired":{"a":["b"]}})", R"({"a":1})",
       "the document: found an object with 1 property with \"a\" but without \"b\", expected both "
       "or neither (schema #/dependentRequired)"},
      {R"({"propertyNames":{"maxLength":1}})", R"({"ab":1})",
       "'/ab': found \"ab\" (2 characters), expected at most 1 character (schema "
       "#/propertyNames/maxLength)"},
      {R"({"additionalProperties":false})", R"({"a/b":1})",
       "'/a~1b': found 1, expected no value here (schema #/additionalProperties)"},
      {R"({"not":{"type":"null"}})", "null",
       "the document: found null, expected a value that does not fit the schema of 'not' (schema "
       "#/not)"},
      {R"({"oneOf":[{"minimum":1},{"maximum":5}]})", "3",
       "the document: found 3, expected to fit exactly one of the 2 schemas of oneOf; it fits "
       "those at 0 and 1 (schema #/oneOf)"},
      {R"({"unevaluatedItems":false,"prefixItems":[true]})", "[1,2]",
       "'/1': found 2, expected no value here (schema #/unevaluatedItems)"},
  };
  for (const Complaint& tested : cases) {
    EXPECT_EQ(FirstComplaint(tested.schema, tested.instance), tested.text) << tested.schema;
  }
}

TEST(SchemaValidator, PlacesNameTheValueAndTheKeywordWhereverItStands) {
  const char* schema = R"({"$id":"https://example.com/order","properties":{"lines":{"items":
      {"$ref":"#/$defs/line"}}},"$defs":{"line":{"properties":{"a~b":{"$ref":"price"}}},
      "p":{"$id":"price","then":false,"if":{"minimum":10}}}})";
  EXPECT_EQ(FirstComplaint(schema, R"({"lines":[{},{"a~b":12}]})"),
            "'/lines/1/a~0b': found 12, expected no value here (schema "
            "https://example.com/price#/then)");
  EXPECT_EQ(FirstComplaint(schema, R"({"lines":[{},{"a~b":9}]})"), "");
}

TEST(SchemaValidator, ChoicesPointAtTheBranchThatComesNearest) {
  const char* schema = R"({"anyOf":[{"type":"string"},
      {"properties":{"kind":{"const":"a"},"n":{"type":"integer"}}}]})";
  EXPECT_EQ(FirstComplaint(schema, R"({"kind":"a","n":"1"})"),
            "the document: found an object with 2 properties, expected to fit one of the 2 schemas "
            "of anyOf; nearest: '/n': found \"1\", expected integer (schema "
            "#/anyOf/1/properties/n/type) (schema #/anyOf)");
  EXPECT_EQ(FirstComplaint(R"({"oneOf":[{"type":"null"},{"type":"string"}]})", "1"),
            "the document: found 1, expected to fit one of the 2 schemas of oneOf; nearest: the "
            "document: found 1, expected null (schema #/oneOf/0/type) (schema #/oneOf)");
}

TEST(SchemaValidator, ViolationsAreAllFoundUpToTheLimit) {
  ASSERT_OK_AND_ASSIGN(
      const SchemaValidator validator,
      SchemaValidator::Compile(Parsed(
          R"({"required":["x","y"],"properties":{"a":{"type":"string","enum":["b"]},"c":false},
              "items":{"type":"null"}})")));
  ASSERT_OK_AND_ASSIGN(const auto all, validator.Violations(Parsed(R"({"a":1,"c":2})"), 100));
  std::vector<std::string> places;
  for (const SchemaViolation& violation : all) {
    places.push_back(violation.instance_path + " " + violation.schema_path);
  }
  EXPECT_EQ(places, (std::vector<std::string>{"/a #/properties/a/type", "/a #/properties/a/enum",
                                              "/c #/properties/c", " #/required", " #/required"}));
  ASSERT_OK_AND_ASSIGN(const auto two, validator.Violations(Parsed("[1,null,2,3]"), 2));
  ASSERT_EQ(two.size(), 2U);
  EXPECT_EQ(two[1].instance_path, "/2");
  ASSERT_OK_AND_ASSIGN(const auto none, validator.Violations(Parsed("[]"), 1));
  EXPECT_TRUE(none.empty());
  EXPECT_ERROR(validator.Violations(Parsed("[]"), 0), ErrorCode::kInvalidArgument, "limit of 0");
}

TEST(SchemaValidator, VerdictsAgreeHoweverTheyAreAsked) {
  ASSERT_OK_AND_ASSIGN(const SchemaValidator validator,
                       SchemaValidator::Compile(Parsed(R"({"maxLength":2})")));
  ASSERT_OK_AND_ASSIGN(const bool fits, validator.Accepts("ab"));
  EXPECT_TRUE(fits);
  EXPECT_OK(validator.Validate("ab"));
  ASSERT_OK_AND_ASSIGN(const bool too_long, validator.Accepts("abc"));
  EXPECT_FALSE(too_long);
  EXPECT_ERROR(validator.Validate("abc"), ErrorCode::kDataCorrupt, "maxLength");
}

TEST(SchemaValidator, IllFormedKeywordsAreRefusedWithTheirPlace) {
  const char* cases[][2] = {
      {"3", "schema: found 3, expected an object, true or false"},
      {R"({"properties":{"a":{"minLength":-1}}})",
       "schema '#/properties/a/minLength': found -1, expected a whole number of at least 0"},
      {R"({"type":"strng"})", "schema '#/type': found \"strng\", expected null, boolean"},
      {R"({"type":[]})", "schema '#/type': found an empty array"},
      {R"({"required":"a"})", "schema '#/required': found \"a\", expected an array"},
      {R"({"enum":1})", "schema '#/enum': found 1"},
      {R"({"multipleOf":0})", "schema '#/multipleOf': found 0, expected a number above 0"},
      {R"({"maximum":"1"})", "schema '#/maximum': found \"1\", expected a number"},
      {R"({"pattern":"("})", "schema '#/pattern': pattern '(': byte 0: a group that does not end"},
      {R"({"patternProperties":{"[":true}})", "a class that does not end"},
      {R"({"allOf":[]})", "schema '#/allOf': found an empty array, expected an array of at least"},
      {R"({"anyOf":[1]})", "schema '#/anyOf': found 1, expected a schema"},
      {R"({"items":[true]})", "that of each place is prefixItems in 2020-12"},
      {R"({"uniqueItems":1})", "schema '#/uniqueItems': found 1, expected true or false"},
      {R"({"$ref":1})", "schema '#/$ref': found 1, expected a reference as text"},
      {R"({"$id":1})", "schema '#': $id: found 1, expected a name as text"},
      {R"({"$id":"a#b"})", "expected no fragment"},
      {R"({"format":1})", "schema '#/format': found 1, expected the name of a format"},
      {R"({"dependentRequired":{"a":[1]}})", "found 1, expected a property name"},
      {R"({"$defs":{"unused":{"not":0}}})", "schema '#/$defs/unused/not': found 0"},
  };
  for (const auto& [schema, text] : cases) {
    EXPECT_ERROR(SchemaValidator::Compile(Parsed(schema)), ErrorCode::kInvalidArgument, text);
  }
}

TEST(SchemaValidator, FormatsAnnotateUnlessAskedToAssert) {
  const char* schema = R"({"format":"ipv4"})";
  EXPECT_EQ(FirstComplaint(schema, R"("1.2.3")"), "");
  EXPECT_EQ(FirstComplaint(schema, R"("1.2.3")", {.formats = SchemaFormats::kAssert}),
            "the document: found \"1.2.3\", expected an IPv4 address such as 192.0.2.1 (schema "
            "#/format)");
  EXPECT_EQ(
      FirstComplaint(R"({"format":"shoe-size"})", R"("?")", {.formats = SchemaFormats::kAssert}),
      "");
}

TEST(SchemaValidator, MessagesStayShortWhateverTheDocumentHolds) {
  const std::string longest(100'000, 'x');
  const std::string schema =
      Json{{"properties", {{longest, {{"const", longest}}}}}, {"required", {longest}}}.dump();
  EXPECT_LT(FirstComplaint(schema, "{}").size(), 700U);
  EXPECT_LT(FirstComplaint(schema, "{\"" + longest + "\":\"" + longest + "\\u0001y\"}").size(),
            1000U);
}

}  // namespace
}  // namespace metier::grammar
