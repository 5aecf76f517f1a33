#include "engine/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/stop_text.h"

namespace metier::engine {

using text::TokenId;

namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<TokenId> EndTokens(const GenerateOptions& options, const text::Tokenizer& tokenizer) {
  if (options.ignore_end_tokens) return {};
  if (!options.end_tokens.empty()) return options.end_tokens;
  std::vector<TokenId> ends = tokenizer.special().end_of_turn;
  if (tokenizer.special().eos >= 0) ends.push_back(tokenizer.special().eos);
  return ends;
}

// Collects the answer's text and passes on what can be shown.
class Answer {
 public:
  Answer(const text::Tokenizer& tokenizer, const GenerateOptions& options, Generation& result)
      : decoder_(tokenizer), stops_(options.stop), on_text_(options.on_text), result_(result) {}

  // True: a stop text is complete.
  bool Add(TokenId token) {
    Show(stops_.Add(decoder_.Add(token)));
    return Stopped();
  }
  void Finish() {
    if (!Stopped()) Show(stops_.Add(decoder_.Finish()));
    if (!Stopped()) Show(stops_.Finish());
  }

 private:
  bool Stopped() {
    if (stops_.found() != nullptr) result_.stop = *stops_.found();
    return stops_.found() != nullptr;
  }
  void Show(const std::string& piece) {
    if (piece.empty()) return;
    result_.text += piece;
    if (on_text_) on_text_(piece);
  }

  text::StreamDecoder decoder_;
  StopText stops_;
  const std::function<void(std::string_view)>& on_text_;
  Generation& result_;
};

Status CheckRequest(const Session& session, std::span<const TokenId> prompt,
                    const GenerateOptions& options) {
  METIER_TRY(Validate(options.sampler));
  if (!session.backend().spec().head) {
    return Error(ErrorCode::kInvalidArgument,
                 "a '" + session.backend().spec().family +
                     "' model is an encoder: it embeds texts and cannot continue them");
  }
  if (options.max_tokens < 0) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("max_tokens is {}, it must be at least 0", options.max_tokens));
  }
  const std::int64_t positions = session.backend().spec().max_positions;
  if (static_cast<std::int64_t>(prompt.size()) > positions) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("the prompt has {} tokens, the model has {} positions; shorten the "
                             "prompt",
                             prompt.size(), positions));
  }
  return Ok();
}

}  // namespace

std::string_view FinishReasonName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop: return "stop";
    case FinishReason::kLength: return "length";
    case FinishReason::kCancelled: return "cancelled";
  }
  return "?";
}

Result<Generation> Generate(Session& session, const text::Tokenizer& tokenizer,
                            std::span<const TokenId> prompt, const GenerateOptions& options) {
  METIER_TRY(CheckRequest(session, prompt, options));
  Generation result;
  const Clock::time_point start = Clock::now();
  METIER_ASSIGN(std::span<const float> logits, session.Set(prompt));
  result.prompt_tokens = static_cast<std::int64_t>(prompt.size());
  result.reused_tokens = session.reused();
  result.prompt_seconds = SecondsSince(start);

  const Clock::time_point answer_start = Clock::now();
  const std::vector<TokenId> ends = EndTokens(options, tokenizer);
  const std::int64_t room = session.backend().spec().max_positions - result.prompt_tokens + 1;
  const std::int64_t most = std::min(options.max_tokens, room);
  Sampler sampler(options.sampler);
  sampler.AddPrompt(prompt);
  Answer answer(tokenizer, options, result);
  result.finish = FinishReason::kLength;
  while (static_cast<std::int64_t>(result.tokens.size()) < most) {
    if (options.cancel.stop_requested()) {
      result.finish = FinishReason::kCancelled;
      break;
    }
    TokenMask mask;
    if (options.constraint != nullptr) {
      METIER_ASSIGN(mask, options.constraint->Mask());
    }
    METIER_ASSIGN(Choice choice, sampler.Next(logits, mask));
    if (std::find(ends.begin(), ends.end(), choice.token) != ends.end()) {
      result.finish = FinishReason::kStop;
      break;
    }
    if (options.constraint != nullptr) METIER_TRY(options.constraint->Accept(choice.token));
    const TokenId token = choice.token;
    result.tokens.push_back(token);
    if (options.sampler.top_logprobs >= 0) result.choices.push_back(std::move(choice));
    if (answer.Add(token)) {
      result.finish = FinishReason::kStop;
      break;
    }
    if (static_cast<std::int64_t>(result.tokens.size()) == most) break;
    METIER_ASSIGN(logits, session.Append(token));
  }
  answer.Finish();
  if (!result.stop.empty()) result.finish = FinishReason::kStop;
  result.answer_seconds = SecondsSince(answer_start);
  return result;
}

}  // namespace metier::engine
