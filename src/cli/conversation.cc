#include "cli/conversation.h"

#include <fmt/format.h>

namespace metier::cli {

Status Conversation::Reset() {
  messages_ = Json::array();
  if (!options_.system.empty())
    messages_.push_back({{"role", "system"}, {"content", options_.system}});
  waiting_for_tool_ = false;
  tools_.reset();
  if (options_.tool_program.empty()) return Ok();
  METIER_ASSIGN(tools_, LineProcess::Start(options_.tool_program));
  return Ok();
}

Status Conversation::Say(const std::string& line) {
  const Json before = messages_;
  const bool waited_for_tool = waiting_for_tool_;
  messages_.push_back({{"role", waiting_for_tool_ ? "tool" : "user"}, {"content", line}});
  Status answered = AnswerAndAct();
  if (!answered.ok()) {
    messages_ = before;
    waiting_for_tool_ = waited_for_tool;
  }
  return answered;
}

Status Conversation::AnswerAndAct() {
  METIER_TRY(Answer());
  int calls = 0;
  while (tools_ && waiting_for_tool_ && !options_.interrupted()) {
    const Json called = messages_.back()["tool_calls"];
    calls += static_cast<int>(called.size());
    if (calls > kMostCallsInARow) {
      return Error(
          ErrorCode::kResourceExhausted,
          fmt::format("the model made more than {} calls in answer to one line", kMostCallsInARow));
    }
    for (const Json& call : called) METIER_TRY(Execute(call["function"]));
    METIER_TRY(Answer());
  }
  return Ok();
}

Status Conversation::Execute(const Json& call) {
  METIER_ASSIGN(const std::string result,
                tools_->Ask(DumpCompact(call), kLongestLine, options_.interrupted));
  messages_.push_back({{"role", "tool"}, {"content", result}});
  return show_(messages_.back());
}

// The answer as a message. Words that look like a broken call stay words.
Status Conversation::Answer() {
  METIER_ASSIGN(const Reply reply, model_(messages_));
  Json message = {{"role", "assistant"}, {"content", reply.text}};
  waiting_for_tool_ = false;
  const auto parsed = text::ParseReply(options_.dialect, reply.whole);
  if (parsed.ok() && !parsed->calls.empty()) {
    message["content"] = parsed->content;
    message["tool_calls"] = Json::array();
    for (const text::ToolCall& call : parsed->calls) {
      message["tool_calls"].push_back(
          {{"type", "function"},
           {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
    }
    waiting_for_tool_ = true;
  }
  messages_.push_back(message);
  message["finish_reason"] = reply.finish_reason;
  return show_(message);
}

}  // namespace metier::cli
