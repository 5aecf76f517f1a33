#include "evaluate/tool_calls.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "support/fixtures.h"

namespace metier::evaluate {
namespace {

constexpr char kDialogue[] =
    R"({"messages":[{"role":"user","content":"where is W1?"},)"
    R"({"role":"assistant","content":"","tool_calls":[{"id":"1","type":"function","function":{"name":"get_order","arguments":"{\"id\":\"W1\",\"n\":1}"}}]},)"
    R"({"role":"tool","tool_call_id":"1","content":"{}"},{"role":"assistant","content":"On its way."}],"tools":[]})";

class ToolCalls : public ::testing::Test {
 protected:
  ToolCalls() {
    options_.file = folder_ / "dialogues.jsonl";
    test::WriteAll(options_.file, std::string(kDialogue) + "\n\n" + kDialogue + "\n");
  }

  // Answers the call turn and the speech turn with fixed texts.
  static ReplyFunction Answers(std::string call, std::string speech) {
    return [call, speech](std::span<const Conversation> asked) {
      std::vector<Result<std::string>> replies;
      for (const Conversation& conversation : asked)
        replies.emplace_back(conversation.messages->size() == 1 ? call : speech);
      return replies;
    };
  }

  test::TempFolder folder_;
  ToolCallOptions options_;
};

TEST_F(ToolCalls, TheSameCallInOtherOrderOfKeysIsExact) {
  const auto reply = Answers(
      R"(<tool_call>{"name":"get_order","arguments":{"n":1.0,"id":"W1"}}</tool_call>)", "Soon.");
  ASSERT_OK_AND_ASSIGN(const auto result,
                       MeasureToolCalls(reply, text::ToolDialect::kHermes, options_));
  EXPECT_EQ(result.dialogues, 2);
  EXPECT_EQ(result.call_turns, 2);
  EXPECT_EQ(result.exact, 2);
  EXPECT_EQ(result.speech_turns, 2);
  EXPECT_EQ(result.false_calls, 0);
  EXPECT_EQ(result.by_tool.at("get_order"), std::pair(std::int64_t{2}, std::int64_t{2}));
}

TEST_F(ToolCalls, WrongArgumentsCountForTheNameOnly) {
  const auto reply = Answers(
      R"(<tool_call>{"name":"get_order","arguments":{"id":"W2","n":1}}</tool_call>)", "Soon.");
  ASSERT_OK_AND_ASSIGN(const auto result,
                       MeasureToolCalls(reply, text::ToolDialect::kHermes, options_));
  EXPECT_EQ(result.exact, 0);
  EXPECT_EQ(result.right_name, 2);
}

TEST_F(ToolCalls, SpeechInsteadOfACallAndACallInsteadOfSpeechAreWrong) {
  const auto reply =
      Answers("I do not know.", R"(<tool_call>{"name":"get_order","arguments":{}}</tool_call>)");
  ASSERT_OK_AND_ASSIGN(const auto result,
                       MeasureToolCalls(reply, text::ToolDialect::kHermes, options_));
  EXPECT_EQ(result.exact, 0);
  EXPECT_EQ(result.right_name, 0);
  EXPECT_EQ(result.FalseCallRate(), 1);
}

TEST_F(ToolCalls, WordsAreComparedWhereThereAreAny) {
  const std::string call = R"(<tool_call>{"name":"get_order","arguments":{}}</tool_call>)";
  ASSERT_OK_AND_ASSIGN(const auto same, MeasureToolCalls(Answers(call, "On its way.\n"),
                                                         text::ToolDialect::kHermes, options_));
  EXPECT_EQ(same.worded_turns, 2);  // the call turns say nothing
  EXPECT_EQ(same.SameWords(), 1);
  ASSERT_OK_AND_ASSIGN(const auto other, MeasureToolCalls(Answers(call, "On its way!"),
                                                          text::ToolDialect::kHermes, options_));
  EXPECT_EQ(other.SameWords(), 0);

  test::WriteAll(
      options_.file,
      R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"I look.",)"
      R"("tool_calls":[{"name":"get_order","arguments":{}}]}]})");
  ASSERT_OK_AND_ASSIGN(const auto beside, MeasureToolCalls(Answers("I look." + call, ""),
                                                           text::ToolDialect::kHermes, options_));
  EXPECT_EQ(beside.exact, 1);
  EXPECT_EQ(beside.SameWords(), 1);
  ASSERT_OK_AND_ASSIGN(const auto silent,
                       MeasureToolCalls(Answers(call, ""), text::ToolDialect::kHermes, options_));
  EXPECT_EQ(silent.exact, 1);
  EXPECT_EQ(silent.SameWords(), 0);
}

TEST_F(ToolCalls, BrokenRepliesAreCountedNeverDropped) {
  const auto reply = Answers("<tool_call>{", "<tool_call>");
  ASSERT_OK_AND_ASSIGN(const auto result,
                       MeasureToolCalls(reply, text::ToolDialect::kHermes, options_));
  EXPECT_EQ(result.unparseable, 4);
  EXPECT_EQ(result.call_turns, 2);
  EXPECT_EQ(result.false_calls, 2);
}

TEST_F(ToolCalls, SamplesShowEveryAssistantTurn) {
  options_.samples = 1;
  ASSERT_OK_AND_ASSIGN(const auto result,
                       MeasureToolCalls(Answers("a", "b"), text::ToolDialect::kHermes, options_));
  ASSERT_EQ(result.samples.size(), 1U);
  ASSERT_EQ(result.samples[0]["replies"].size(), 2U);
  EXPECT_EQ(result.samples[0]["replies"][0]["right"], false);
  EXPECT_EQ(result.samples[0]["replies"][1]["right"], true);
}

// Dialogues of different lengths, among them one in which nobody answers.
TEST_F(ToolCalls, SlotsKeepTheirDialogueAndTheResultDoesNotDependOnTheirNumber) {
  std::string lines;
  for (const int rounds : {3, 1, 0, 2, 4}) {
    Json messages = Json::array();
    for (int i = 0; i < rounds; ++i) {
      messages.push_back({{"role", "user"}, {"content", fmt::format("{} of {}", i, rounds)}});
      messages.push_back({{"role", "assistant"},
                          {"tool_calls", {{{"name", "count"}, {"arguments", {{"i", i}}}}}}});
    }
    messages.push_back({{"role", "user"}, {"content", "bye"}});
    lines += DumpCompact({{"messages", messages}}) + "\n";
  }
  test::WriteAll(options_.file, lines);
  options_.samples = 4;
  std::map<std::int64_t, Json> results;
  for (const std::int64_t batch : {1, 2, 16}) {
    options_.batch = batch;
    std::size_t most = 0;
    std::map<std::size_t, Json> held;  // by each slot
    const ReplyFunction reply = [&](std::span<const Conversation> asked) {
      most = std::max(most, asked.size());
      std::vector<Result<std::string>> replies;
      std::set<std::size_t> slots;
      for (const Conversation& conversation : asked) {
        EXPECT_TRUE(slots.insert(conversation.slot).second);
        EXPECT_LT(conversation.slot, static_cast<std::size_t>(batch));
        Json& before = held[conversation.slot];
        const Json& now = *conversation.messages;
        if (now.size() > 1) {
          EXPECT_EQ(Json(now.begin(), now.end() - 2), before);
        }
        before = now;
        // Right in the first round of each.
        replies.emplace_back(R"(<tool_call>{"name":"count","arguments":{"i":0}}</tool_call>)");
      }
      return replies;
    };
    std::uint64_t told = 0;
    ASSERT_OK_AND_ASSIGN(const auto result,
                         MeasureToolCalls(reply, text::ToolDialect::kHermes, options_,
                                          [&](std::uint64_t done, std::uint64_t total, auto) {
                                            EXPECT_GE(done, std::exchange(told, done));
                                            EXPECT_EQ(total, 5U);
                                            return Ok();
                                          }));
    EXPECT_EQ(told, 5U);
    EXPECT_EQ(result.dialogues, 5);
    EXPECT_EQ(result.call_turns, 10);
    EXPECT_EQ(result.exact, 4);
    EXPECT_EQ(most, static_cast<std::size_t>(std::min<std::int64_t>(batch, 4)));
    results[batch] = result.ToJson();
  }
  EXPECT_EQ(results[2], results[1]);
  EXPECT_EQ(results[16], results[1]);
  EXPECT_EQ(results[1]["samples"].size(), 4U);
}

TEST_F(ToolCalls, TheDialogueWithoutAReplyIsNamed) {
  const ReplyFunction reply = [](std::span<const Conversation> asked) {
    std::vector<Result<std::string>> replies(asked.size(), std::string("x"));
    if (asked.size() > 1) replies[1] = Error(ErrorCode::kInvalidArgument, "too long");
    return replies;
  };
  EXPECT_ERROR(MeasureToolCalls(reply, text::ToolDialect::kHermes, options_),
               ErrorCode::kInvalidArgument, "dialogue 2: too long");
}

TEST_F(ToolCalls, BadFilesAreNamedWithTheirLine) {
  test::WriteAll(options_.file, std::string(kDialogue) + "\n{\"messages\":[{}]}\n");
  EXPECT_ERROR(MeasureToolCalls(Answers("", ""), text::ToolDialect::kHermes, options_),
               ErrorCode::kDataCorrupt, "line 2");
  test::WriteAll(options_.file, R"({"messages":[{"role":"assistant","content":"hi"}]})");
  EXPECT_ERROR(MeasureToolCalls(Answers("", ""), text::ToolDialect::kHermes, options_),
               ErrorCode::kInvalidArgument, "none of 1");
  options_.file = folder_ / "absent.jsonl";
  EXPECT_ERROR(MeasureToolCalls(Answers("", ""), text::ToolDialect::kHermes, options_),
               ErrorCode::kNotFound, "absent.jsonl");
}

}  // namespace
}  // namespace metier::evaluate
