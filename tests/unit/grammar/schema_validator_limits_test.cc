// Hostile schemas and instances: every walk ends, with a verdict or an error; and threads.
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "grammar/schema_validator.h"
#include "support/fixtures.h"

namespace metier::grammar {
namespace {

Json Document(const std::string& text) {
  auto parsed = ParseJson(text);
  EXPECT_TRUE(parsed.ok()) << text.substr(0, 200);
  return parsed.ok() ? std::move(parsed).value() : Json();
}

Json Nested(int levels) {
  Json value = 1;
  for (int i = 0; i < levels; ++i) {
    Json outer = Json::array();
    outer.push_back(std::move(value));
    value = std::move(outer);
  }
  return value;
}

// Definition i applies definition i+1 twice, in the given way; the last one is `last`.
Json Doubling(int definitions, const std::string& keyword, const std::string& last) {
  Json defs = Json::object();
  for (int i = 0; i < definitions; ++i) {
    const Json next = {{"$ref", "#/$defs/d" + std::to_string(i + 1)}};
    Json both = Json::array();
    both.push_back(next);
    both.push_back(next);
    defs["d" + std::to_string(i)] = {{keyword, both}};
  }
  defs["d" + std::to_string(definitions)] = Document(last);
  return {{"$defs", defs}, {"$ref", "#/$defs/d0"}};
}

TEST(SchemaLimits, WorkThatDoublesIsRemembered) {
  for (const char* keyword : {"allOf", "anyOf"}) {
    ASSERT_OK_AND_ASSIGN(const SchemaValidator validator,
                         SchemaValidator::Compile(Doubling(60, keyword, R"({"type":"null"})")));
    EXPECT_OK(validator.Validate(nullptr));
    EXPECT_ERROR(validator.Validate(1), ErrorCode::kDataCorrupt, "expected");
  }
  // Valid parts that double in front of the one that fails.
  Json schema = Doubling(60, "allOf", "{\"minimum\":0}");
  schema["$defs"]["bad"] = {{"maximum", 5}};
  schema["allOf"] = Json::array({{{"$ref", "#/$defs/bad"}}});
  ASSERT_OK_AND_ASSIGN(const SchemaValidator validator, SchemaValidator::Compile(schema));
  EXPECT_ERROR(validator.Validate(7), ErrorCode::kDataCorrupt, "#/$defs/bad/maximum");
}

TEST(SchemaLimits, NamesOfPropertiesAreNotTakenForEachOther) {
  ASSERT_OK_AND_ASSIGN(const SchemaValidator validator,
                       SchemaValidator::Compile(Document(R"({"propertyNames":{"$ref":"#/$defs/n"},
                                            "$defs":{"n":{"maxLength":6}}})")));
  Json object = Json::object();
  Json::object_t& members = object.get_ref<Json::object_t&>();
  for (int i = 0; i < 20'000; ++i) members.emplace_back("k" + std::to_string(i), i);
  EXPECT_OK(validator.Validate(object));
  members.emplace_back("too long", 1);
  EXPECT_ERROR(validator.Validate(object), ErrorCode::kDataCorrupt, "'/too long'");
}

TEST(SchemaLimits, WorkThatCannotBeRememberedEnds) {
  Json schema = Doubling(60, "allOf", R"({"properties":{"a":true}})");
  schema["unevaluatedProperties"] = false;
  ASSERT_OK_AND_ASSIGN(const SchemaValidator validator,
                       SchemaValidator::Compile(schema, {.max_steps = 200'000}));
  EXPECT_ERROR(validator.Validate(Document(R"({"a":1})")), ErrorCode::kResourceExhausted,
               "gave up after 200000 steps, the limit");
  EXPECT_ERROR(validator.Accepts(Document(R"({"a":1})")), ErrorCode::kResourceExhausted, "steps");
}

TEST(SchemaLimits, HugeInstancesCostSteps) {
  ASSERT_OK_AND_ASSIGN(
      const SchemaValidator validator,
      SchemaValidator::Compile(Document(R"({"items":{"type":"integer"}})"), {.max_steps = 1000}));
  Json items = Json::array();
  for (int i = 0; i < 900; ++i) items.push_back(i);
  EXPECT_OK(validator.Validate(items));
  for (int i = 0; i < 900; ++i) items.push_back(i);
  EXPECT_ERROR(validator.Validate(items), ErrorCode::kResourceExhausted, "instance '/99");
}

TEST(SchemaLimits, DepthOfSchemasAndInstances) {
  ASSERT_OK_AND_ASSIGN(const SchemaValidator validator,
                       SchemaValidator::Compile(Document(R"({"items":{"$ref":"#"}})"),
                                                {.limits = {.max_json_depth = 100}}));
  EXPECT_OK(validator.Validate(Nested(100)));
  EXPECT_ERROR(validator.Validate(Nested(101)), ErrorCode::kResourceExhausted,
               "instance: nested deeper than 100 levels");
  EXPECT_ERROR(validator.Validate(Nested(100'000)), ErrorCode::kResourceExhausted, "deeper");
  EXPECT_ERROR(SchemaValidator::Compile({{"const", Nested(256)}}), ErrorCode::kResourceExhausted,
               "schema: nested deeper than 256 levels");
  EXPECT_OK(SchemaValidator::Compile({{"const", Nested(255)}}));
}

TEST(SchemaLimits, ChainsOfReferencesMayBeLongButNotEndless) {
  const auto chain = [](int length) {
    Json defs = Json::object();
    for (int i = 0; i < length; ++i) {
      defs["d" + std::to_string(i)] = {{"$ref", "#/$defs/d" + std::to_string(i + 1)}};
    }
    defs["d" + std::to_string(length)] = {{"type", "null"}};
    return Json{{"$defs", defs}, {"$ref", "#/$defs/d0"}};
  };
  ASSERT_OK_AND_ASSIGN(const SchemaValidator shorter, SchemaValidator::Compile(chain(1900)));
  EXPECT_OK(shorter.Validate(nullptr));
  EXPECT_ERROR(shorter.Validate(1), ErrorCode::kDataCorrupt, "expected null");
  ASSERT_OK_AND_ASSIGN(const SchemaValidator longer, SchemaValidator::Compile(chain(2100)));
  EXPECT_ERROR(longer.Validate(nullptr), ErrorCode::kResourceExhausted, "more than 2000 deep");
}

TEST(SchemaLimits, HostilePatternsGiveUpAndSayWhere) {
  ASSERT_OK_AND_ASSIGN(
      const SchemaValidator validator,
      SchemaValidator::Compile(Document(R"({"not":{"items":{"pattern":"^(a+)+$"}}})")));
  EXPECT_ERROR(validator.Validate(Json::array({"a", std::string(5000, 'a') + "!"})),
               ErrorCode::kResourceExhausted, "instance '/1': pattern '^(a+)+$' gave up");
}

TEST(SchemaLimits, ManyPropertiesAreNotLookedUpOneByOne) {
  Json required = Json::array();
  Json object = Json::object();
  Json::object_t& members = object.get_ref<Json::object_t&>();
  for (int i = 0; i < 20'000; ++i) {
    required.push_back("k" + std::to_string(i));
    members.emplace_back("k" + std::to_string(i), i);  // appends without a look-up
  }
  ASSERT_OK_AND_ASSIGN(const SchemaValidator validator,
                       SchemaValidator::Compile({{"required", required},
                                                 {"dependentRequired", {{"k1", required}}},
                                                 {"not", {{"const", object}, {"minItems", 1}}}}));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_ERROR(validator.Validate(object), ErrorCode::kDataCorrupt, "'not'");
  members.pop_back();
  EXPECT_ERROR(validator.Validate(object), ErrorCode::kDataCorrupt, "without \"k19999\"");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST(SchemaLimits, TextThatIsNotUtf8IsNoVerdict) {
  ASSERT_OK_AND_ASSIGN(const SchemaValidator validator,
                       SchemaValidator::Compile(Document(R"({"pattern":"a"})")));
  EXPECT_ERROR(validator.Validate(Json(std::string("a\xff"))), ErrorCode::kDataCorrupt, "UTF-8");
}

TEST(SchemaLimits, ThreadsShareOneValidator) {
  ASSERT_OK_AND_ASSIGN(const SchemaValidator validator,
                       SchemaValidator::Compile(
                           Document(R"({"$ref":"https://json-schema.org/draft/2020-12/schema"})"),
                           {.formats = SchemaFormats::kAssert}));
  const Json good = Document(R"({"properties":{"a":{"pattern":"^a+$","$id":"http://x/y"}}})");
  const Json bad = Document(R"({"properties":{"a":{"pattern":"^a+$(","$id":"http://x/y"}}})");
  std::vector<int> right(4, 0);
  std::vector<std::thread> threads;
  for (int& count : right) {
    threads.emplace_back([&validator, &good, &bad, &count] {
      for (int i = 0; i < 50; ++i) {
        count += validator.Validate(good).ok() ? 1 : 0;
        const auto refused = validator.Validate(bad);
        const bool explained =
            !refused.ok() && refused.error().message().find("a regular") != std::string::npos;
        count += explained ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, (std::vector<int>{100, 100, 100, 100}));
}

}  // namespace
}  // namespace metier::grammar
