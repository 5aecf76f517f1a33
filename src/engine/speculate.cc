#include "engine/speculate.h"

#include <algorithm>
#include <utility>

namespace metier::engine {

using text::TokenId;

Speculation::Speculation(const GenerateOptions& options)
    : proposer_(options.proposer), max_proposals_(options.max_proposals), limit_(max_proposals_) {}

// A step yields a token more than it has proposals.
std::int64_t Speculation::Wanted(const Answer& answer) const {
  if (proposer_ == nullptr) return 0;
  return std::clamp<std::int64_t>(answer.remaining() - 1, 0, limit_);
}

Result<std::vector<TokenId>> Speculation::Propose(std::span<const TokenId> prompt,
                                                  const Answer& answer, std::int64_t most) {
  if (most <= 0) return std::vector<TokenId>();
  if (!begun_) proposer_->Begin(prompt);
  begun_ = true;
  const std::span<const TokenId> said = answer.tokens();
  proposer_->Extend(said.subspan(std::exchange(told_, said.size())));
  METIER_ASSIGN(std::vector<TokenId> proposals, proposer_->Propose(most, answer.sampler()));
  proposals.resize(std::min(proposals.size(), static_cast<std::size_t>(most)));
  return proposals;
}

Verdict Speculation::Verify(Answer& answer, const model::Rows& rows,
                            std::span<const TokenId> proposals) {
  const auto count = static_cast<std::int64_t>(proposals.size());
  Verdict verdict;
  while (true) {
    verdict.goes_on = answer.Next(rows.Row(verdict.accepted));
    if (!verdict.goes_on.ok() || !*verdict.goes_on || verdict.accepted == count) break;
    if (answer.tokens().back() != proposals[static_cast<std::size_t>(verdict.accepted)]) break;
    ++verdict.accepted;
  }
  proposed_ += count;
  accepted_ += verdict.accepted;
  limit_ = AdaptProposals(limit_, max_proposals_, count, verdict.accepted);
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
  METIER_ASSIGN(const std::vector<TokenId> proposals,
                speculation.Propose(prompt, answer, speculation.Wanted(answer)));
  std::span<const TokenId> tried = proposals;
  std::vector<TokenId> tokens = {answer.tokens().back()};
  tokens.insert(tokens.end(), tried.begin(), tried.end());
  Result<model::Rows> rows = session.Extend(tokens);
  if (!rows.ok() && !tried.empty()) {  // where there is only room for what must be computed
    tried = {};
    rows = session.Extend(std::span<const TokenId>(tokens).first(1));
  }
  if (!rows.ok()) return std::move(rows).error();
  Verdict verdict = speculation.Verify(answer, *rows, tried);
  session.Truncate(held + 1 + verdict.accepted);
  return std::move(verdict.goes_on);
}

}  // namespace metier::engine
