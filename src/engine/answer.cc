#include "engine/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace metier::engine {

using text::TokenId;

namespace {

// Twice what tokens of a text have on average; a longer answer lets its text grow.
constexpr std::size_t kExpectedBytesOfToken = 8;

std::vector<TokenId> EndTokens(const GenerateOptions& options, const text::Tokenizer& tokenizer) {
  if (options.ignore_end_tokens) return {};
  if (!options.end_tokens.empty()) return options.end_tokens;
  std::vector<TokenId> ends = tokenizer.special().end_of_turn;
  if (tokenizer.special().eos >= 0) ends.push_back(tokenizer.special().eos);
  return ends;
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

Status CheckPrompt(const model::ModelSpec& spec, std::int64_t positions,
                   std::span<const TokenId> prompt, const GenerateOptions& options) {
  METIER_TRY(Validate(options.sampler));
  if (!spec.predicts_next()) {
    return Error(
        ErrorCode::kInvalidArgument,
        "a '" + spec.family + "' model is an encoder: it embeds texts and cannot continue them");
  }
  if (options.max_tokens < 0) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("max_tokens is {}, it must be at least 0", options.max_tokens));
  }
  if (options.max_proposals < 0) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("max_proposals is {}, it must be at least 0", options.max_proposals));
  }
  if (prompt.empty()) return Error(ErrorCode::kInvalidArgument, "no tokens to continue from");
  if (static_cast<std::int64_t>(prompt.size()) > positions) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("the prompt has {} tokens, the model has {} positions{}; shorten the "
                             "prompt",
                             prompt.size(), positions,
                             positions < spec.max_positions ? " behind its prefix" : ""));
  }
  return Ok();
}

// The logits after the last position give one token more.
Answer::Answer(const text::Tokenizer& tokenizer, const GenerateOptions& options,
               std::span<const TokenId> prompt, std::int64_t positions)
    : options_(options),
      most_(std::min(options.max_tokens, positions - static_cast<std::int64_t>(prompt.size()) + 1)),
      ends_(EndTokens(options, tokenizer)),
      sampler_(options.sampler),
      decoder_(tokenizer),
      stops_(options.stop) {
  sampler_.AddPrompt(prompt);
  const auto most = static_cast<std::size_t>(most_);
  sampler_.ExpectChoices(most);
  result_.tokens.reserve(most);
  result_.text.reserve(kExpectedBytesOfToken * most);
  result_.prompt_tokens = static_cast<std::int64_t>(prompt.size());
}

Result<bool> Answer::Next(std::span<const float> logits) {
  const auto full = [this] { return static_cast<std::int64_t>(result_.tokens.size()) >= most_; };
  if (full()) return End(FinishReason::kLength);
  if (options_.cancel.stop_requested()) return End(FinishReason::kCancelled);
  TokenMask mask;
  if (options_.constraint != nullptr) {
    METIER_ASSIGN(mask, options_.constraint->Mask());
  }
  METIER_ASSIGN(Choice choice, sampler_.Next(logits, mask));
  const TokenId token = choice.token;
  if (std::find(ends_.begin(), ends_.end(), token) != ends_.end()) return End(FinishReason::kStop);
  if (options_.constraint != nullptr) METIER_TRY(options_.constraint->Accept(token));
  result_.tokens.push_back(token);
  if (options_.on_token) options_.on_token(choice);
  if (options_.sampler.top_logprobs >= 0) result_.choices.push_back(std::move(choice));
  Show(stops_.Add(decoder_.Add(token)));
  if (StopFound()) return End(FinishReason::kStop);
  return full() ? End(FinishReason::kLength) : true;
}

Generation Answer::Finish() {
  if (!StopFound()) Show(stops_.Add(decoder_.Finish()));
  if (!StopFound()) Show(stops_.Finish());
  if (!result_.stop.empty()) result_.finish = FinishReason::kStop;
  return std::move(result_);
}

bool Answer::End(FinishReason reason) {
  result_.finish = reason;
  return false;
}

bool Answer::StopFound() {
  if (stops_.found() != nullptr) result_.stop = *stops_.found();
  return stops_.found() != nullptr;
}

void Answer::Show(std::string_view piece) {
  if (piece.empty()) return;
  result_.text += piece;
  if (options_.on_text) options_.on_text(piece);
}

}  // namespace metier::engine
