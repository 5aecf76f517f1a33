#include "engine/generate.h"

#include <chrono>

#include "engine/speculate.h"

namespace metier::engine {

using text::TokenId;

namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Result<Generation> Generate(Session& session, const text::Tokenizer& tokenizer,
                            std::span<const TokenId> prompt, const GenerateOptions& options) {
  const model::ModelSpec& spec = session.backend().spec();
  METIER_TRY(CheckPrompt(spec, session.positions(), prompt, options));
  const Clock::time_point start = Clock::now();
  METIER_ASSIGN(const std::span<const float> logits, session.Set(prompt));
  const std::int64_t reused = session.reused();
  const double prompt_seconds = SecondsSince(start);

  const Clock::time_point answer_start = Clock::now();
  Answer answer(tokenizer, options, prompt, session.positions());
  session.ExpectLength(static_cast<std::int64_t>(prompt.size()) + answer.remaining());
  Speculation speculation(options);
  METIER_ASSIGN(bool goes_on, answer.Next(logits));
  while (goes_on) {
    METIER_ASSIGN(goes_on, StepAnswer(session, prompt, answer, speculation));
  }
  Generation result = answer.Finish();
  result.reused_tokens = reused;
  result.proposed_tokens = speculation.proposed();
  result.accepted_tokens = speculation.accepted();
  result.prompt_seconds = prompt_seconds;
  result.answer_seconds = SecondsSince(answer_start);
  return result;
}

}  // namespace metier::engine
