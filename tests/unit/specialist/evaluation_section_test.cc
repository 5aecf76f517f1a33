// What a reader of the report sees of an evaluation.
#include "specialist/stages/evaluation_section.h"

#include "base/json.h"
#include "specialist/report.h"
#include "support/fixtures.h"

namespace metier::specialist {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Json Suite(double exact, const Json& replies) {
  const Json messages = {
      {{"role", "system"}, {"content", "secret rules"}},
      {{"role", "user"}, {"content", "Where is <W1>?"}},
      {{"role", "assistant"},
       {"tool_calls",
        {{{"type", "function"},
          {"function", {{"name", "track"}, {"arguments", "{\"id\":\"W1\"}"}}}}}}},
      {{"role", "tool"}, {"content", "here"}},
      {{"role", "assistant"}, {"content", "It is here."}}};
  return {{"exact_match", exact}, {"samples", {{{"messages", messages}, {"replies", replies}}}}};
}

Json Reply(std::size_t turn, bool call, const char* found, bool right) {
  Json expected = Json::array();
  if (call) expected.push_back({{"name", "track"}, {"arguments", {{"id", "W1"}}}});
  return {{"turn", turn}, {"expected", expected}, {"found", found}, {"right", right}};
}

std::string Section(const Json& results) {
  const test::TempFolder folder;
  test::WriteAll(folder / "results.json", DumpCompact(results));
  StageRecord record;
  record.folder = folder.path();
  return EvaluationSection(record);
}

TEST(EvaluationSection, ShowsTableGateAndConversationsOfTheBestFirst) {
  const Json base = Json::array({Reply(2, true, "no idea", false), Reply(4, false, "hm", true)});
  const Json better =
      Json::array({Reply(2, true, "track W1", true), Reply(4, false, "It is here.", true)});
  const std::string html = Section(
      {{"models",
        {{"base", {{"calls", Suite(0.0, base)}}}, {"specialist", {{"calls", Suite(1.0, better)}}}}},
       {"headline", {{"calls.exact_match", {{"base", 0.0}, {"specialist", 1.0}}}}},
       {"gate",
        {{"passed", false},
         {"rules",
          {{{"model", "base"},
            {"metric", "calls.exact_match"},
            {"found", 0.0},
            {"at_least", 0.5},
            {"passed", false}}}}}}});
  EXPECT_THAT(html, HasSubstr("calls.exact_match of base is 0, wanted at least 0.5"));
  EXPECT_LT(html.find("conversations: specialist, calls"), html.find("conversations: base, calls"));
  EXPECT_THAT(html, HasSubstr("Conversation 1: 2 of 2 turns right"));
  EXPECT_THAT(html, HasSubstr("Conversation 1: 1 of 2 turns right"));
  EXPECT_THAT(html, HasSubstr("Where is &lt;W1&gt;?"));
  EXPECT_THAT(html, Not(HasSubstr("secret rules")));
  for (const char* verdict : {"called, right", "called, wrong", "no call as it should be"}) {
    EXPECT_THAT(html, HasSubstr(verdict));
  }
  // Only the very first conversation is open.
  EXPECT_EQ(html.find("<details open>"), html.rfind("<details open>"));
  EXPECT_NE(html.find("<details open>"), std::string::npos);
}

TEST(EvaluationSection, SaysWhereACallDoesNotBelong) {
  const Json replies = Json::array({Reply(4, false, "<tool_call>...", false)});
  const std::string html = Section({{"models", {{"m", {{"calls", Suite(0.0, replies)}}}}},
                                    {"headline", Json::object()},
                                    {"gate", Json::object()}});
  EXPECT_THAT(html, HasSubstr("a call where none belongs"));
  EXPECT_THAT(html, Not(HasSubstr("Gate")));
}

TEST(EvaluationSection, AnUnreadableResultIsPartOfTheReport) {
  StageRecord record;
  record.folder = "/nowhere";
  EXPECT_THAT(EvaluationSection(record), HasSubstr("class=\"bad\""));
}

TEST(EvaluationSection, SoIsOneThatHoldsSomethingElse) {
  const Json good = {{"models", {{"m", {{"calls", Suite(1.0, Json::array())}}}}},
                     {"headline", Json::object()}};
  for (const char* lost : {"/models", "/headline", "/models/m/calls/samples/0/replies",
                           "/models/m/calls/samples/0/messages"}) {
    const Json::json_pointer place(lost);
    Json damaged = good;
    damaged[place.parent_pointer()].erase(place.back());
    EXPECT_THAT(Section(damaged), HasSubstr("is not what an evaluation writes")) << lost;
  }
  Json damaged = good;
  damaged["gate"] = {{"rules", {1}}};
  EXPECT_THAT(Section(damaged), HasSubstr("is not what an evaluation writes"));
}

TEST(Report, BeginsWithWhetherTheSpecialistIsBetter) {
  const test::TempFolder folder;
  test::WriteAll(folder / "results.json",
                 DumpCompact({{"models", {{"base", {{"calls", Suite(0.5, Json::array())}}}}},
                              {"headline", {{"calls.exact_match", {{"base", 0.5}}}}}}));
  StageRecord data;
  data.name = "data";
  data.kind = "encode";
  data.summary = {{"train", {{"examples", 3}}}};
  StageRecord evaluation;
  evaluation.name = "evaluation";
  evaluation.kind = "evaluate";
  evaluation.folder = folder.path();
  const std::string html = ReportHtml({}, {data, evaluation});
  ASSERT_THAT(html, HasSubstr("Before and after"));
  ASSERT_THAT(html, HasSubstr("Data: data"));
  EXPECT_LT(html.find("Before and after"), html.find("Data: data"));
}

}  // namespace
}  // namespace metier::specialist
