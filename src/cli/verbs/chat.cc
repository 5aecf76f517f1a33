// metier chat: a conversation with a specialist or a chat model, on a terminal or through a pipe.
#include <fmt/format.h>

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "cli/interrupt.h"
#include "cli/sampling.h"
#include "cli/verbs/verbs.h"
#include "engine/generate.h"
#include "engine/session.h"
#include "specialist/chat_reply.h"
#include "specialist/runnable.h"
#include "text/chat_encode.h"
#include "text/tool_dialect.h"

namespace metier::cli {
namespace {

struct ChatOptions {
  std::string model;
  std::string system;
  std::string adapter;
  SamplingFlags sampling;
  std::int64_t threads = 0;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("MODEL", model, "specialist, model directory or .gguf file, with a chat template")
        .Required();
    field("system", system, "system message, instead of the specialist's own");
    field("adapter", adapter, "PEFT adapter directory to put on top");
    sampling.Visit(field);
    field("threads", threads, "CPU threads; 0: all cores").AtLeast(0).AtMost(1024);
  }
};

constexpr char kHelp[] =
    "/help    this list\n"
    "/reset   forget the conversation\n"
    "/quit    end (so does Ctrl-D)\n"
    "Ctrl-C ends an answer. A tool call is shown; type its result as one line.\n";

class Conversation {
 public:
  Conversation(const specialist::Runnable& runnable, engine::Session session,
               engine::GenerateOptions how, std::string system, Console& console)
      : runnable_(runnable),
        session_(std::move(session)),
        how_(std::move(how)),
        system_(std::move(system)),
        console_(console) {
    Reset();
  }

  void Reset() {
    messages_ = Json::array();
    if (!system_.empty()) messages_.push_back({{"role", "system"}, {"content", system_}});
    waiting_for_tool_ = false;
  }

  // What the next line is: the user's words, or the result of a tool that the model called.
  bool waiting_for_tool() const { return waiting_for_tool_; }

  // Takes a line and prints the answer. Errors leave the conversation as it was.
  Status Say(const std::string& line) {
    const Json before = messages_;
    messages_.push_back({{"role", waiting_for_tool_ ? "tool" : "user"}, {"content", line}});
    Status answered = Answer();
    if (!answered.ok()) messages_ = before;
    return answered;
  }

 private:
  Status Answer() {
    text::RenderOptions rendering;
    rendering.add_generation_prompt = true;
    rendering.tools = runnable_.tools;
    METIER_ASSIGN(
        const text::EncodedChat prompt,
        text::EncodeChat(runnable_.tokenizer, *runnable_.chat_template, messages_, rendering));
    InterruptGuard::Clear();  // of a Ctrl-C between two answers
    std::stop_source cancel;
    how_.cancel = cancel.get_token();
    how_.end_tokens = runnable_.StopTokens();
    Status shown = Ok();
    how_.on_text = [&](std::string_view piece) {
      if (!console_.json()) {
        console_.Print(piece);
        if (shown.ok()) shown = console_.Flush();
      }
      if (InterruptGuard::asked() || !shown.ok()) cancel.request_stop();
    };
    METIER_ASSIGN(const engine::Generation answer,
                  engine::Generate(session_, runnable_.tokenizer, prompt.ids, how_));
    METIER_TRY(shown);
    return Remember(answer);
  }

  // The answer as a message. Words that look like a broken call stay words.
  Status Remember(const engine::Generation& answer) {
    Json message = {{"role", "assistant"}, {"content", answer.text}};
    waiting_for_tool_ = false;
    // With the control tokens that the printed text leaves out: some dialects mark calls with them.
    METIER_ASSIGN(const std::string whole,
                  runnable_.tokenizer.Decode(answer.tokens, text::Tokenizer::SkipSpecial::kNo));
    const auto reply = text::ParseReply(runnable_.dialect, whole);
    if (reply.ok() && !reply->calls.empty()) {
      message["content"] = reply->content;
      message["tool_calls"] = Json::array();
      for (const text::ToolCall& call : reply->calls) {
        message["tool_calls"].push_back(
            {{"type", "function"},
             {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
      }
      waiting_for_tool_ = true;
    }
    messages_.push_back(message);
    if (console_.json()) {
      message["finish_reason"] = engine::FinishReasonName(answer.finish);
      console_.Print(DumpCompact(message) + "\n");
    } else {
      console_.Print("\n");
    }
    return console_.Flush();
  }

  const specialist::Runnable& runnable_;
  engine::Session session_;
  engine::GenerateOptions how_;
  std::string system_;
  Console& console_;
  Json messages_;
  bool waiting_for_tool_ = false;
};

Status Talk(Conversation& conversation, Console& console) {
  constexpr std::uint64_t kLongestLine = 1ULL << 20;
  while (true) {
    if (console.input_is_terminal()) {
      std::fputs(conversation.waiting_for_tool() ? "tool result> " : "> ", stderr);
    }
    METIER_ASSIGN(const std::optional<std::string> line, console.ReadLine(kLongestLine));
    if (!line || *line == "/quit") return Ok();
    if (line->empty()) continue;
    if (*line == "/help") {
      std::fputs(kHelp, stderr);
    } else if (*line == "/reset") {
      conversation.Reset();
    } else if (line->front() == '/') {
      std::fputs(fmt::format("unknown command {}: /help lists them\n", *line).c_str(), stderr);
    } else {
      METIER_TRY(conversation.Say(*line));
    }
  }
}

Result<Outcome> Chat(const ChatOptions& options, Console& console) {
  METIER_ASSIGN(const specialist::Runnable runnable,
                specialist::OpenRunnable({.path = options.model, .adapter = options.adapter}));
  if (!runnable.chat_template) {
    return Error(ErrorCode::kNotFound,
                 fmt::format("'{}' has no chat template, expected one to hold a conversation with: "
                             "`metier generate` continues a text",
                             options.model));
  }
  METIER_ASSIGN(const specialist::LoadedModel loaded,
                specialist::LoadModel(runnable, static_cast<int>(options.threads)));
  METIER_ASSIGN(engine::Session session, engine::Session::Open(*loaded.backend, loaded.adapter));
  Conversation conversation(runnable, std::move(session),
                            options.sampling.Resolve(runnable.generation),
                            options.system.empty() ? runnable.system : options.system, console);
  const InterruptGuard guard;
  if (console.input_is_terminal()) std::fputs("/help lists the commands\n", stderr);
  METIER_TRY(Talk(conversation, console));
  return Outcome::kSuccess;
}

}  // namespace

constinit const Verb kChatVerb = MakeVerb<ChatOptions, Chat>(
    "chat", "talk to a specialist or a chat model",
    "metier chat runs/retail-support/specialist\n"
    "printf 'Where is my order W1042?\\n' | metier chat runs/retail-support/specialist --json");

}  // namespace metier::cli
