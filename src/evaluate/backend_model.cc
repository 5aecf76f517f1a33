#include "evaluate/backend_model.h"

#include <algorithm>
#include <cmath>

namespace metier::evaluate {
namespace {

using text::TokenId;

// Bounds the logits of one step: 256 rows of a 150 k vocabulary are 150 MB.
constexpr std::size_t kStepTokens = 256;

// ln softmax(logits)[token], summed in double.
double LogProbOf(std::span<const float> logits, TokenId token) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - highest);
  return static_cast<double>(logits[static_cast<std::size_t>(token)]) - highest - std::log(sum);
}

}  // namespace

Result<std::unique_ptr<BackendModel>> BackendModel::Create(model::Backend& backend,
                                                           model::AdapterId adapter) {
  METIER_ASSIGN(const model::SequenceId sequence, backend.OpenSequence(adapter));
  return std::unique_ptr<BackendModel>(new BackendModel(backend, sequence));
}

BackendModel::~BackendModel() { backend_.CloseSequence(sequence_); }

std::int64_t BackendModel::MaxTokens() const { return backend_.spec().max_positions; }

std::size_t BackendModel::Reuse(std::span<const TokenId> tokens, std::size_t most) {
  const std::size_t limit = std::min({tokens.size(), cached_.size(), most});
  const auto differ = std::mismatch(
      tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(limit), cached_.begin());
  const auto shared = static_cast<std::size_t>(differ.first - tokens.begin());
  backend_.Truncate(sequence_, static_cast<std::int64_t>(shared));
  cached_.resize(shared);
  return shared;
}

Result<model::Rows> BackendModel::Append(std::span<const TokenId> tokens, model::Want want) {
  const model::SequenceStep step{
      .sequence = sequence_, .tokens = tokens, .types = {}, .want = want};
  METIER_ASSIGN(const auto rows, backend_.Forward({&step, 1}));
  cached_.insert(cached_.end(), tokens.begin(), tokens.end());
  return rows.front();
}

Result<model::Rows> BackendModel::Prefill(std::span<const TokenId> tokens) {
  while (tokens.size() > kStepTokens) {
    METIER_TRY(Append(tokens.first(kStepTokens), model::Want::kNothing));
    tokens = tokens.subspan(kStepTokens);
  }
  return Append(tokens, model::Want::kLast);
}

Result<std::vector<double>> BackendModel::LogProbs(std::span<const TokenId> tokens,
                                                   std::size_t first) {
  METIER_CHECK(first >= 1, "the first token of a text has no prediction");
  std::vector<double> log_probs;
  if (first >= tokens.size()) return log_probs;
  // The row of token i predicts token i + 1, so rows are needed from first - 1 on.
  std::size_t done = Reuse(tokens, first - 1);
  while (done < tokens.size() - 1) {
    const std::size_t count = std::min(kStepTokens, tokens.size() - 1 - done);
    METIER_ASSIGN(const model::Rows rows, Append(tokens.subspan(done, count), model::Want::kAll));
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t next = done + i + 1;
      if (next >= first)
        log_probs.push_back(LogProbOf(rows.Row(static_cast<std::int64_t>(i)), tokens[next]));
    }
    done += count;
  }
  return log_probs;
}

Result<std::vector<TokenId>> BackendModel::Greedy(std::span<const TokenId> prompt,
                                                  std::int64_t max_tokens,
                                                  std::span<const TokenId> stop) {
  if (prompt.empty())
    return Error(ErrorCode::kInvalidArgument, "an empty prompt has no continuation");
  std::vector<TokenId> reply;
  // At least the last token is computed again: its row is what we need.
  const std::size_t shared = Reuse(prompt, prompt.size() - 1);
  METIER_ASSIGN(model::Rows rows, Prefill(prompt.subspan(shared)));
  while (true) {
    const auto logits = rows.Row(rows.count - 1);
    const auto best = std::max_element(logits.begin(), logits.end());  // ties: the lowest id
    const auto token = static_cast<TokenId>(best - logits.begin());
    if (std::find(stop.begin(), stop.end(), token) != stop.end()) break;
    reply.push_back(token);
    const bool full = static_cast<std::int64_t>(cached_.size()) >= MaxTokens();
    if (static_cast<std::int64_t>(reply.size()) >= max_tokens || full) break;
    METIER_ASSIGN(rows, Append({&reply.back(), 1}, model::Want::kLast));
  }
  return reply;
}

}  // namespace metier::evaluate
