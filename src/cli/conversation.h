// cli/conversation.h - a conversation with a model line by line, its tool calls executed by a
// program that the user names.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/line_process.h"
#include "base/result.h"
#include "text/tool_dialect.h"

namespace metier::cli {

class Conversation {
 public:
  // A model's answer to messages.
  struct Reply {
    std::string text;           // as shown
    std::string whole;          // with the control tokens, which mark calls in some dialects
    std::string finish_reason;  // engine::FinishReasonName
  };
  using Model = std::function<Result<Reply>(const Json& messages)>;
  // Told of each message that is not the user's: the assistant's ("finish_reason" beside it), a
  // tool program's.
  using Show = std::function<Status(const Json& message)>;

  struct Options {
    text::ToolDialect dialect = text::ToolDialect::kNone;
    std::string system;
    // Shell command of a program that takes {"name", "arguments"} a line and answers each with one
    // line, the result; "": the user gives the results.
    std::string tool_program;
    std::function<bool()> interrupted = [] { return false; };
  };

  // More calls than these in answer to one line are an error: a model that repeats itself.
  static constexpr int kMostCallsInARow = 24;
  static constexpr std::uint64_t kLongestLine = 1ULL << 20;

  Conversation(Model model, Show show, Options options)
      : model_(std::move(model)), show_(std::move(show)), options_(std::move(options)) {}

  // Begins, or begins anew: with no messages but the system's, and a new process of the tool
  // program.
  Status Reset();

  // Takes a line, what the user says or the result of a tool that the model called, and has it
  // answered, with a tool program until no call is left. Requires Reset. Errors leave the
  // conversation as it was.
  Status Say(const std::string& line);

  // What the next line is.
  bool waiting_for_tool() const { return waiting_for_tool_; }

 private:
  Status Answer();
  Status AnswerAndAct();
  Status Execute(const Json& call);

  Model model_;
  Show show_;
  Options options_;
  Json messages_ = Json::array();
  std::optional<LineProcess> tools_;
  bool waiting_for_tool_ = false;
};

}  // namespace metier::cli
