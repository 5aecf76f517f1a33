#include "recipe/fields.h"

#include "support/fixtures.h"

namespace metier::recipe {
namespace {

struct Inner {
  double x = 1;
  template <class Visitor>
  void Visit(Visitor&& field) {
    field("x", x, "a number").Above(0).AtMost(10);
  }
};

struct Outer {
  double rate = 3e-4;
  std::int64_t steps = 0;
  bool flag = false;
  std::string shape = "cosine";
  std::vector<std::string> names;
  std::optional<std::int64_t> limit;
  std::map<std::string, Inner> parts;
  std::vector<Inner> list;
  Inner inner;
  Json anything;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("rate", rate, "learning rate").Above(0);
    field("steps", steps, "steps").AtLeast(0);
    field("flag", flag, "a switch");
    field("shape", shape, "schedule").OneOf({"cosine", "linear"});
    field("names", names, "names").OneOf({"a", "b"});
    field("limit", limit, "a limit");
    field("parts", parts, "parts by name");
    field("list", list, "parts in order");
    field("inner", inner, "one part").Required();
    field("anything", anything, "free");
  }
};

Status Read(const std::string& yaml, Outer& out) {
  METIER_ASSIGN(const Json document, ParseYaml(yaml));
  return ReadFields(document, "top", out);
}

TEST(Fields, EveryTypeIsReadAndWrittenBack) {
  Outer outer;
  ASSERT_OK(Read(R"(
rate: 1
steps: 1e3
flag: true
names: [a, b]
limit: 4
parts: {p: {x: 2}}
list: [{x: 3}, {}]
inner: {x: 5.5}
anything: {k: [1]}
)",
                 outer));
  EXPECT_EQ(outer.rate, 1);
  EXPECT_EQ(outer.steps, 1000);
  EXPECT_EQ(outer.limit, 4);
  EXPECT_EQ(outer.parts.at("p").x, 2);
  EXPECT_EQ(outer.list[1].x, 1);
  Outer again;
  ASSERT_OK(ReadFields(WriteFields(outer), "top", again));
  EXPECT_EQ(DumpCompact(WriteFields(again)), DumpCompact(WriteFields(outer)));
}

TEST(Fields, MistakesNamePlaceFoundAndExpected) {
  Outer outer;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"rat: 1", "top: unknown key 'rat': did you mean 'rate'?"},
      {"zzzzzz: 1", "expected one of rate, steps"},
      {"rate: 0", "top.rate: found 0, expected above 0"},
      {"rate: .nan", "top.rate: found nan, expected above 0"},
      {"rate: text", "top.rate: found \"text\", expected a number"},
      {"steps: -1", "top.steps: found -1, expected at least 0"},
      {"steps: 1.5", "top.steps: found 1.5, expected a whole number"},
      {"steps: 18446744073709551615", "expected a whole number of at most 63 bits"},
      {"flag: 1", "top.flag: found 1, expected true or false"},
      {"shape: square", "top.shape: found \"square\", expected one of cosine, linear"},
      {"names: [a, c]", "top.names[1]: found \"c\", expected one of a, b"},
      {"names: a", "top.names: found \"a\", expected a list"},
      {"parts: {p: {x: 11}}", "top.parts.p.x: found 11, expected above 0 and at most 10"},
      {"list: [{y: 1}]", "top.list[0]: unknown key 'y'"},
      {"inner: 1", "top.inner: found 1, expected a mapping"},
      {"rate: 1", "top: key 'inner' is required and absent"},
      {"[1]", "top: found a list, expected a mapping"},
  };
  for (const auto& [yaml, message] : cases)
    EXPECT_ERROR(Read(yaml, outer), ErrorCode::kDataCorrupt, message);
}

TEST(Fields, SchemaHasTypesBoundsDefaultsAndRequired) {
  const Json schema = SchemaOf<Outer>();
  const Json& properties = schema["properties"];
  EXPECT_EQ(properties["rate"]["exclusiveMinimum"], 0);
  EXPECT_EQ(properties["rate"]["default"], 3e-4);
  EXPECT_EQ(properties["names"]["items"]["enum"], Json::array({"a", "b"}));
  EXPECT_EQ(properties["parts"]["additionalProperties"]["properties"]["x"]["maximum"], 10);
  EXPECT_EQ(properties["limit"]["anyOf"][1]["type"], "null");
  EXPECT_FALSE(properties["inner"].contains("default"));
  EXPECT_EQ(schema["required"], Json::array({"inner"}));
  EXPECT_EQ(schema["additionalProperties"], false);
}

}  // namespace
}  // namespace metier::recipe
