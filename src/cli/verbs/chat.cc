// metier chat: a conversation with a specialist or a chat model, on a terminal or through a pipe.
#include <fmt/format.h>

#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "cli/conversation.h"
#include "cli/engine_flags.h"
#include "cli/interrupt.h"
#include "cli/sampling.h"
#include "cli/speculation.h"
#include "cli/verbs/verbs.h"
#include "engine/generate.h"
#include "engine/session.h"
#include "specialist/chat_reply.h"
#include "specialist/runnable.h"
#include "text/chat_encode.h"

namespace metier::cli {
namespace {

struct ChatOptions {
  std::string model;
  std::string system;
  std::string adapter;
  std::string tool_program;
  SamplingFlags sampling;
  SpeculationFlags speculation;
  EngineFlags engine;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("MODEL", model, "specialist, model directory or .gguf file, with a chat template")
        .Required();
    field("system", system, "system message, instead of the specialist's own");
    field("adapter", adapter, "PEFT adapter or mixture directory to put on top");
    field("tool-program", tool_program,
          "shell command of a program that executes the model's tool calls, one a line in, its "
          "result one line out; it runs with your rights");
    sampling.Visit(field);
    speculation.Visit(field);
    engine.Visit(field);
  }
};

constexpr char kHelp[] =
    "/help    this list\n"
    "/reset   forget the conversation\n"
    "/quit    end (so does Ctrl-D)\n"
    "Ctrl-C ends an answer. A tool call is shown; where no --tool-program executes it, type its\n"
    "result as one line.\n";

// The model behind a conversation: renders, continues, and streams the words as they come.
class StreamedModel {
 public:
  StreamedModel(const specialist::Runnable& runnable, engine::Session session,
                engine::GenerateOptions how, OpenedProposer& proposer, Console& console)
      : runnable_(runnable),
        session_(std::move(session)),
        how_(std::move(how)),
        proposer_(proposer),
        console_(console) {
    proposer.AddTo(how_);
  }

  Result<Conversation::Reply> operator()(const Json& messages) {
    text::RenderOptions rendering;
    rendering.add_generation_prompt = true;
    rendering.tools = runnable_.tools;
    METIER_ASSIGN(
        const text::EncodedChat prompt,
        text::EncodeChat(runnable_.tokenizer, *runnable_.chat_template, messages, rendering));
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
    proposer_.Count(answer);
    METIER_ASSIGN(std::string whole,
                  runnable_.tokenizer.Decode(answer.tokens, text::Tokenizer::SkipSpecial::kNo));
    return Conversation::Reply{.text = answer.text,
                               .whole = std::move(whole),
                               .finish_reason = std::string(FinishReasonName(answer.finish))};
  }

 private:
  const specialist::Runnable& runnable_;
  engine::Session session_;
  engine::GenerateOptions how_;
  OpenedProposer& proposer_;
  Console& console_;
};

// An assistant's words are on the console already when its message is complete.
Status Show(const Json& message, Console& console) {
  if (console.json()) {
    console.Print(DumpCompact(message) + "\n");
  } else if (message["role"] == "tool") {
    console.Print(fmt::format("tool result> {}\n", message["content"].get<std::string>()));
  } else {
    console.Print("\n");
  }
  return console.Flush();
}

Status Talk(Conversation& conversation, Console& console) {
  METIER_TRY(conversation.Reset());
  while (true) {
    if (console.input_is_terminal()) {
      std::fputs(conversation.waiting_for_tool() ? "tool result> " : "> ", stderr);
    }
    METIER_ASSIGN(const std::optional<std::string> line,
                  console.ReadLine(Conversation::kLongestLine));
    if (!line || *line == "/quit") return Ok();
    if (line->empty()) continue;
    if (*line == "/help") {
      std::fputs(kHelp, stderr);
    } else if (*line == "/reset") {
      METIER_TRY(conversation.Reset());
    } else if (line->front() == '/') {
      std::fputs(fmt::format("unknown command {}: /help lists them\n", *line).c_str(), stderr);
    } else {
      Status said = conversation.Say(*line);
      if (!said.ok() && !console.input_is_terminal()) return said;
      if (!said.ok()) {
        std::fputs(fmt::format("\n{}\n/reset begins anew\n", said.error().message()).c_str(),
                   stderr);
      }
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
  const specialist::LoadOptions load = options.engine.Resolve();
  METIER_ASSIGN(const specialist::LoadedModel loaded, specialist::LoadModel(runnable, load));
  METIER_ASSIGN(OpenedProposer proposer,
                OpenedProposer::Open(options.speculation, loaded.backend->spec(), load));
  METIER_ASSIGN(engine::Session session, engine::Session::Open(*loaded.backend, loaded.adapter));
  StreamedModel model(runnable, std::move(session), options.sampling.Resolve(runnable.generation),
                      proposer, console);
  Conversation conversation(std::ref(model),
                            [&](const Json& message) { return Show(message, console); },
                            {.dialect = runnable.dialect,
                             .system = options.system.empty() ? runnable.system : options.system,
                             .tool_program = options.tool_program,
                             .interrupted = &InterruptGuard::asked});
  const InterruptGuard guard;
  if (console.input_is_terminal()) std::fputs("/help lists the commands\n", stderr);
  METIER_TRY(Talk(conversation, console));
  ReportExpertCache(loaded.experts);
  proposer.Report();
  return Outcome::kSuccess;
}

}  // namespace

constinit const Verb kChatVerb = MakeVerb<ChatOptions, Chat>(
    "chat", "talk to a specialist or a chat model",
    "metier chat runs/retail-support/specialist\n"
    "metier chat runs/retail-support/specialist \\\n"
    "  --tool-program 'retail_shop desk --db runs/retail-support/shop/shop.db'\n"
    "printf 'Where is my order W1042?\\n' | metier chat runs/retail-support/specialist --json");

}  // namespace metier::cli
