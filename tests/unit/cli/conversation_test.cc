#include "cli/conversation.h"

#include "support/fixtures.h"

namespace metier::cli {
namespace {

// Says what it was told to, one reply after another, and keeps what it was shown.
class Conversations : public ::testing::Test {
 protected:
  Conversation Make(std::vector<std::string> replies, std::string tool_program = "",
                    std::string system = "") {
    replies_ = std::move(replies);
    return {[this](const Json& messages) -> Result<Conversation::Reply> {
              seen_ = messages;
              if (next_ == replies_.size()) return Error(ErrorCode::kIo, "no more replies");
              const std::string& text = replies_[next_++];
              return Conversation::Reply{.text = text, .whole = text, .finish_reason = "stop"};
            },
            [this](const Json& message) {
              shown_.push_back(message);
              return Ok();
            },
            {.dialect = text::ToolDialect::kHermes,
             .system = std::move(system),
             .tool_program = std::move(tool_program)}};
  }

  // "role: content" of messages.
  static std::vector<std::string> Short(const Json& messages) {
    std::vector<std::string> lines;
    for (const Json& message : messages) {
      lines.push_back(message["role"].get<std::string>() + ": " +
                      message["content"].get<std::string>());
    }
    return lines;
  }

  static std::string Call(const std::string& name) {
    return R"(<tool_call>{"name": ")" + name + R"(", "arguments": {"n": 1}}</tool_call>)";
  }

  std::vector<std::string> replies_;
  std::size_t next_ = 0;
  Json seen_;  // by the model, the last time
  Json shown_ = Json::array();
};

// Numbers its answers and repeats what it was asked.
constexpr char kEcho[] = "n=0; while read -r l; do n=$((n+1)); echo \"$n $l\"; done";

TEST_F(Conversations, WithoutAProgramTheNextLineIsTheResult) {
  Conversation talk = Make({"See: " + Call("look"), "Found."}, "", "Be kind.");
  ASSERT_OK(talk.Reset());
  ASSERT_OK(talk.Say("hello"));
  EXPECT_TRUE(talk.waiting_for_tool());
  ASSERT_OK(talk.Say("42"));
  EXPECT_FALSE(talk.waiting_for_tool());
  EXPECT_THAT(Short(seen_), ::testing::ElementsAre("system: Be kind.", "user: hello",
                                                   "assistant: See:", "tool: 42"));
  EXPECT_EQ(seen_[2]["tool_calls"][0]["function"]["name"], "look");
}

TEST_F(Conversations, AProgramExecutesAllCallsUntilTheModelOnlySpeaks) {
  Conversation talk = Make({Call("a") + Call("b"), Call("c"), "Done.", "Bye."}, kEcho);
  ASSERT_OK(talk.Reset());
  ASSERT_OK(talk.Say("go"));
  EXPECT_FALSE(talk.waiting_for_tool());
  EXPECT_THAT(Short(shown_),
              ::testing::ElementsAre("assistant: ", R"(tool: 1 {"name":"a","arguments":{"n":1}})",
                                     R"(tool: 2 {"name":"b","arguments":{"n":1}})",
                                     "assistant: ", R"(tool: 3 {"name":"c","arguments":{"n":1}})",
                                     "assistant: Done."));
  EXPECT_EQ(shown_.back()["finish_reason"], "stop");
  EXPECT_FALSE(seen_.back().contains("finish_reason"));
}

TEST_F(Conversations, ResetForgetsTheMessagesAndRestartsTheProgram) {
  Conversation talk = Make({Call("a"), "Done.", Call("b"), "Done."}, kEcho, "Be kind.");
  ASSERT_OK(talk.Reset());
  ASSERT_OK(talk.Say("go"));
  ASSERT_OK(talk.Reset());
  ASSERT_OK(talk.Say("again"));
  EXPECT_THAT(Short(seen_), ::testing::ElementsAre("system: Be kind.", "user: again", "assistant: ",
                                                   R"(tool: 1 {"name":"b","arguments":{"n":1}})"));
}

TEST_F(Conversations, ErrorsLeaveTheConversationAsItWas) {
  Conversation talk = Make({Call("a"), "Done."}, "read -r l; exit 3");
  ASSERT_OK(talk.Reset());
  EXPECT_ERROR(talk.Say("go"), ErrorCode::kIo, "ended with code 3");
  EXPECT_FALSE(talk.waiting_for_tool());
  ASSERT_OK(talk.Say("go on"));
  EXPECT_THAT(Short(seen_), ::testing::ElementsAre("user: go on"));
}

TEST_F(Conversations, CallsWithoutEndAreStopped) {
  Conversation talk = Make(std::vector<std::string>(100, Call("again")), kEcho);
  ASSERT_OK(talk.Reset());
  EXPECT_ERROR(talk.Say("go"), ErrorCode::kResourceExhausted, "more than 24 calls");
  EXPECT_EQ(next_, 25U);
}

TEST_F(Conversations, ABrokenCallStaysWords) {
  Conversation talk = Make({"<tool_call>{\"name\"}</tool_call>"}, kEcho);
  ASSERT_OK(talk.Reset());
  ASSERT_OK(talk.Say("go"));
  EXPECT_FALSE(talk.waiting_for_tool());
  EXPECT_THAT(Short(shown_),
              ::testing::ElementsAre("assistant: <tool_call>{\"name\"}</tool_call>"));
}

}  // namespace
}  // namespace metier::cli
