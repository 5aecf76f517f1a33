#include "engine/speculate.h"

#include <algorithm>
#include <utility>

namespace metier::engine {

using text::TokenId;

Speculation::Speculation(const GenerateOptions& options)
    : proposer_(options.proposer), max_proposals_(options.max_proposals), limit_(max_proposals_) {}

std::int64_t Speculation::Wanted(const Answer& answer, std::int64_t known,
                                 const model::CacheStats& cache) const {
  if (proposer_ == nullptr) return 0;
  // A step yields a token more than it has proposals.
  std::int64_t wanted = std::min(limit_, answer.remaining() - 1);
  if (cache.page_tokens > 0)
    wanted = std::min(wanted, cache.page_tokens - 1 - known % cache.page_tokens);
  return std::max<std::int64_t>(wanted, 0);
}

Result<std::span<const TokenId>> Speculation::Try(std::span<const TokenId> prompt,
                                                  const Answer& answer, std::int64_t most) {
  const std::span<const TokenId> said = answer.tokens();
  trial_ = {said.empty() ? prompt.back() : said.back()};
  if (most <= 0) return std::span<const TokenId>(trial_);
  if (!begun_) proposer_->Begin(prompt);
  begun_ = true;
  proposer_->Extend(said.subspan(std::exchange(told_, said.size())));
  METIER_ASSIGN(std::vector<TokenId> proposals, proposer_->Propose(most, answer.sampler()));
  proposals.resize(std::min(proposals.size(), static_cast<std::size_t>(most)));
  trial_.insert(trial_.end(), proposals.begin(), proposals.end());
  return std::span<const TokenId>(trial_);
}

Verdict Speculation::Verify(Answer& answer, const model::Rows& rows) {
  const std::int64_t proposed = rows.count - 1;
  Verdict verdict;
  while (true) {
    verdict.goes_on = answer.Next(rows.Row(verdict.accepted));
    if (!verdict.goes_on.ok() || !*verdict.goes_on || verdict.accepted == proposed) break;
    if (answer.tokens().back() != trial_[static_cast<std::size_t>(verdict.accepted) + 1]) break;
    ++verdict.accepted;
  }
  proposed_ += proposed;
  accepted_ += verdict.accepted;
  limit_ = AdaptProposals(limit_, max_proposals_, proposed, verdict.accepted);
  return verdict;
}

std::int64_t AdaptProposals(std::int64_t limit, std::int64_t max, std::int64_t proposed,
                            std::int64_t accepted) {
  if (proposed == 0) return limit;
  if (accepted == proposed) return std::min(limit + 2, max);
  return std::max<std::int64_t>((limit + accepted) / 2, 1);
}

Result<bool> StepAnswer(Session& session, std::span<const TokenId> prompt, Answer& answer,
                        Speculation& speculation) {
  const auto held = static_cast<std::int64_t>(session.tokens().size());
  const std::int64_t wanted = speculation.Wanted(answer, held + 1, session.backend().cache_stats());
  METIER_ASSIGN(const std::span<const TokenId> trial, speculation.Try(prompt, answer, wanted));
  Result<model::Rows> rows = session.Extend(trial);
  if (!rows.ok() && trial.size() > 1)  // where there is only room for what must be computed
    rows = session.Extend(trial.first(1));
  if (!rows.ok()) return std::move(rows).error();
  Verdict verdict = speculation.Verify(answer, *rows);
  session.Truncate(held + 1 + verdict.accepted);
  return std::move(verdict.goes_on);
}

}  // namespace metier::engine
