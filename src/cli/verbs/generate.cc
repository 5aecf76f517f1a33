// metier generate: continues a prompt, or answers one message.
#include "engine/generate.h"

#include <fmt/format.h>

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/file.h"
#include "cli/engine_flags.h"
#include "cli/interrupt.h"
#include "cli/sampling.h"
#include "cli/speculation.h"
#include "cli/verbs/verbs.h"
#include "engine/session.h"
#include "specialist/chat_reply.h"
#include "specialist/runnable.h"

namespace metier::cli {
namespace {

struct GenerateVerbOptions {
  std::string model;
  std::string prompt;
  std::string prompt_file;
  std::string adapter;
  bool parse_special = false;
  std::vector<std::string> stop;
  bool ignore_eos = false;
  std::int64_t logprobs = -1;
  SamplingFlags sampling;
  SpeculationFlags speculation;
  EngineFlags engine;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("MODEL", model, "specialist, model directory or .gguf file").Required();
    field("PROMPT", prompt, "text to continue; without it --prompt-file, or standard input");
    field("prompt-file", prompt_file,
          "read the prompt from this file, byte for byte; -: standard input");
    field("adapter", adapter, "PEFT adapter or mixture directory to put on top");
    field("parse-special", parse_special,
          "let the spelling of a control token (<|im_start|>) be that token");
    field("stop", stop, "text that ends the answer and is not part of it");
    field("ignore-eos", ignore_eos, "go on to --max-tokens whatever the model says");
    field("logprobs", logprobs,
          "with --json: report so many alternatives with each token; -1: none")
        .AtLeast(-1)
        .AtMost(100);
    sampling.Visit(field);
    speculation.Visit(field);
    engine.Visit(field);
  }
};

Result<std::string> ReadPrompt(const GenerateVerbOptions& options, Console& console) {
  constexpr std::uint64_t kMostBytes = 256ULL << 20;
  if (!options.prompt.empty() && !options.prompt_file.empty()) {
    return Error(ErrorCode::kInvalidArgument, "found both PROMPT and --prompt-file, expected one");
  }
  if (!options.prompt.empty()) return options.prompt;
  if (options.prompt_file.empty() || options.prompt_file == "-") return console.ReadAll(kMostBytes);
  return ReadFile(options.prompt_file, kMostBytes);
}

Json ChoicesJson(const std::vector<engine::Choice>& choices) {
  Json list = Json::array();
  for (const engine::Choice& choice : choices) {
    Json top = Json::array();
    for (const engine::TokenLogProb& entry : choice.top) {
      top.push_back({{"id", entry.token}, {"logprob", entry.logprob}});
    }
    list.push_back({{"id", choice.token}, {"logprob", choice.logprob}, {"top", std::move(top)}});
  }
  return list;
}

Json GenerationJson(const std::vector<text::TokenId>& prompt, const engine::Generation& answer) {
  Json document = {{"ids", answer.tokens},
                   {"text", answer.text},
                   {"finish_reason", engine::FinishReasonName(answer.finish)},
                   {"prompt_ids", prompt},
                   {"prompt_seconds", answer.prompt_seconds},
                   {"answer_seconds", answer.answer_seconds},
                   {"proposed_tokens", answer.proposed_tokens},
                   {"accepted_tokens", answer.accepted_tokens}};
  if (!answer.choices.empty()) document["logprobs"] = ChoicesJson(answer.choices);
  return document;
}

Result<Outcome> Generate(const GenerateVerbOptions& options, Console& console) {
  METIER_ASSIGN(const std::string input, ReadPrompt(options, console));
  METIER_ASSIGN(const specialist::Runnable runnable,
                specialist::OpenRunnable({.path = options.model, .adapter = options.adapter}));
  const specialist::LoadOptions load = options.engine.Resolve();
  METIER_ASSIGN(const specialist::LoadedModel loaded, specialist::LoadModel(runnable, load));
  METIER_ASSIGN(OpenedProposer proposer,
                OpenedProposer::Open(options.speculation, loaded.backend->spec(), load));
  const text::EncodeOptions how = {
      .add_special = text::AddSpecial::kYes,
      .parse_special = options.parse_special ? text::ParseSpecial::kYes : text::ParseSpecial::kNo};
  METIER_ASSIGN(const std::vector<text::TokenId> prompt, runnable.tokenizer.Encode(input, how));
  METIER_ASSIGN(engine::Session session, engine::Session::Open(*loaded.backend, loaded.adapter));

  engine::GenerateOptions how_to = options.sampling.Resolve(runnable.generation);
  proposer.AddTo(how_to);
  how_to.stop = options.stop;
  how_to.ignore_end_tokens = options.ignore_eos;
  how_to.sampler.top_logprobs = static_cast<int>(options.logprobs);
  const InterruptGuard guard;
  std::stop_source cancel;
  how_to.cancel = cancel.get_token();
  Status shown = Ok();
  how_to.on_text = [&](std::string_view piece) {
    if (!console.json()) {
      console.Print(piece);
      if (shown.ok()) shown = console.Flush();
    }
    if (InterruptGuard::asked() || !shown.ok()) cancel.request_stop();
  };
  METIER_ASSIGN(const engine::Generation answer,
                engine::Generate(session, runnable.tokenizer, prompt, how_to));
  METIER_TRY(shown);
  if (console.json()) {
    Json document = GenerationJson(prompt, answer);
    if (loaded.experts != nullptr)
      document["expert_cache"] = ExpertCacheJson(loaded.experts->stats());
    console.PrintJson(document);
  } else {
    console.Print("\n");
    ReportExpertCache(loaded.experts);
  }
  METIER_TRY(console.Flush());
  proposer.Count(answer);
  proposer.Report();
  return answer.finish == engine::FinishReason::kCancelled ? Outcome::kWorkFailed
                                                           : Outcome::kSuccess;
}

}  // namespace

constinit const Verb kGenerateVerb = MakeVerb<GenerateVerbOptions, Generate>(
    "generate", "continue a prompt",
    "metier generate model.gguf \"Once upon a time\" --temperature 0\n"
    "metier generate runs/retail/specialist --prompt-file prompt.txt --max-tokens 64 --json\n"
    "metier generate model.gguf --prompt-file letter.txt --lookup");

}  // namespace metier::cli
