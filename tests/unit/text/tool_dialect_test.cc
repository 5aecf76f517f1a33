#include "text/tool_dialect.h"

#include "support/fixtures.h"

namespace metier::text {
namespace {

TEST(ToolDialect, HermesReadsTextAndCalls) {
  ASSERT_OK_AND_ASSIGN(
      const Reply reply,
      ParseReply(ToolDialect::kHermes,
                 "Let me look.\n<tool_call>\n{\"name\": \"get_order\", \"arguments\": "
                 "{\"id\": \"W1\"}}\n</tool_call>\n<tool_call>{\"name\":\"stop\"}</tool_call>"));
  EXPECT_EQ(reply.content, "Let me look.");
  ASSERT_EQ(reply.calls.size(), 2U);
  EXPECT_EQ(reply.calls[0].name, "get_order");
  EXPECT_EQ(DumpCompact(reply.calls[0].arguments), R"({"id":"W1"})");
  EXPECT_EQ(reply.calls[1].name, "stop");
  EXPECT_TRUE(reply.calls[1].arguments.empty());
}

TEST(ToolDialect, HermesRefusesBrokenCalls) {
  EXPECT_ERROR(ParseReply(ToolDialect::kHermes, "<tool_call>{\"name\":\"a\"}"),
               ErrorCode::kDataCorrupt, "without");
  EXPECT_ERROR(ParseReply(ToolDialect::kHermes, "<tool_call>{\"name\":}</tool_call>"),
               ErrorCode::kDataCorrupt, "JSON");
  EXPECT_ERROR(ParseReply(ToolDialect::kHermes, "<tool_call>[1]</tool_call>"),
               ErrorCode::kDataCorrupt, "name");
  EXPECT_ERROR(ParseReply(ToolDialect::kHermes,
                          "<tool_call>{\"name\":\"a\",\"arguments\":\"x\"}</tool_call>"),
               ErrorCode::kDataCorrupt, "expected an object");
}

TEST(ToolDialect, Llama3IsAllJsonOrAllText) {
  ASSERT_OK_AND_ASSIGN(
      const Reply call,
      ParseReply(ToolDialect::kLlama3, " {\"name\": \"f\", \"parameters\": {\"x\": 1}} "));
  ASSERT_EQ(call.calls.size(), 1U);
  EXPECT_EQ(DumpCompact(call.calls[0].arguments), R"({"x":1})");
  ASSERT_OK_AND_ASSIGN(const Reply text, ParseReply(ToolDialect::kLlama3, "Hello {there}"));
  EXPECT_TRUE(text.calls.empty());
  EXPECT_EQ(text.content, "Hello {there}");
}

TEST(ToolDialect, MistralReadsAList) {
  ASSERT_OK_AND_ASSIGN(
      const Reply reply,
      ParseReply(ToolDialect::kMistral,
                 "[TOOL_CALLS][{\"name\":\"f\",\"arguments\":{}},{\"name\":\"g\"}]"));
  ASSERT_EQ(reply.calls.size(), 2U);
  EXPECT_EQ(reply.calls[1].name, "g");
  EXPECT_ERROR(ParseReply(ToolDialect::kMistral, "[TOOL_CALLS]{}"), ErrorCode::kDataCorrupt,
               "list");
}

TEST(ToolDialect, CallsAreComparedAsValues) {
  const auto parse = [](const char* text) { return ParseJson(text).value(); };
  EXPECT_TRUE(
      SameJson(parse(R"({"a":1,"b":[1,{"c":null}]})"), parse(R"({"b":[1.0,{"c":null}],"a":1})")));
  EXPECT_FALSE(SameJson(parse(R"({"a":1})"), parse(R"({"a":"1"})")));
  EXPECT_FALSE(SameJson(parse(R"({"a":1})"), parse(R"({"a":1,"b":2})")));
  EXPECT_FALSE(SameJson(parse("[1,2]"), parse("[2,1]")));
  EXPECT_FALSE(SameCall({"f", Json::object()}, {"g", Json::object()}));
}

TEST(ToolDialect, DetectedByTheMarkersOfTheTemplate) {
  EXPECT_EQ(DetectToolDialect("{{ '<tool_call>' }}"), ToolDialect::kHermes);
  EXPECT_EQ(DetectToolDialect("{{ '[TOOL_CALLS]' }}"), ToolDialect::kMistral);
  EXPECT_EQ(DetectToolDialect("{{ '\"parameters\": ' }}"), ToolDialect::kLlama3);
  EXPECT_EQ(DetectToolDialect("{{ messages }}"), ToolDialect::kNone);
}

}  // namespace
}  // namespace metier::text
