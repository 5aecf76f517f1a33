#include "evaluate/held_out_loss.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "format/token_file.h"

namespace metier::evaluate {
namespace {

// Adds the learnt tokens of one example to the result.
Status ScoreExample(LanguageModel& model, std::span<const text::TokenId> ids,
                    std::span<const std::uint8_t> loss, HeldOutLossResult& result) {
  if (loss.empty()) return Ok();
  const auto begin = loss.begin() + 1;
  const auto first = static_cast<std::size_t>(std::find(begin, loss.end(), 1) - loss.begin());
  if (first == loss.size()) return Ok();
  METIER_ASSIGN(const auto log_probs, model.LogProbs(ids, first));
  for (std::size_t i = 0; i < log_probs.size(); ++i) {
    if (loss[first + i] == 0) continue;
    result.nll -= log_probs[i];
    ++result.scored_tokens;
  }
  return Ok();
}

}  // namespace

Json HeldOutLossResult::ToJson() const {
  return {{"loss", Loss()},
          {"perplexity", std::exp(Loss())},
          {"nll", nll},
          {"scored_tokens", scored_tokens},
          {"examples", examples}};
}

Result<HeldOutLossResult> MeasureHeldOutLoss(LanguageModel& model,
                                             const HeldOutLossOptions& options,
                                             const OnProgress& on_examples) {
  METIER_ASSIGN(const format::TokenFile file, format::TokenFile::Open(options.file));
  const std::int64_t count =
      options.max_examples == 0 ? file.examples() : std::min(options.max_examples, file.examples());
  HeldOutLossResult result;
  for (std::int64_t example = 0; example < count; ++example) {
    const std::span<const text::TokenId> ids = file.Ids(example);
    if (static_cast<std::int64_t>(ids.size()) > model.MaxTokens()) {
      return Error(
          ErrorCode::kInvalidArgument,
          fmt::format("'{}': example {} has {} tokens, the model takes {}; build the file "
                      "with --max-tokens {}",
                      options.file, example, ids.size(), model.MaxTokens(), model.MaxTokens()));
    }
    Status scored = ScoreExample(model, ids, file.Loss(example), result);
    if (!scored.ok()) {
      return std::move(scored).error().With(fmt::format("'{}': example {}", options.file, example));
    }
    ++result.examples;
    METIER_TRY(Report(
        on_examples, static_cast<std::uint64_t>(result.examples), static_cast<std::uint64_t>(count),
        result.scored_tokens > 0 ? fmt::format("loss {:.4f}", result.Loss()) : std::string()));
  }
  if (result.scored_tokens == 0) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("'{}': found no token that is learnt among {} examples, expected one "
                             "at least",
                             options.file, result.examples));
  }
  return result;
}

}  // namespace metier::evaluate
