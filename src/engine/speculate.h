// engine/speculate.h - several tokens of an answer from one pass: what a proposer guesses is
// computed with the last token, and the answer keeps it as far as it would have said the same.
//
//   step:  [last, p1, p2, p3]  -> rows 0 1 2 3
//   row 0: the answer chooses a token. Is it p1? Then row 1 is what comes after it: choose again.
//   Else what was chosen stands, and the rows behind, which follow a token that never came, and
//   their past in the backend are dropped.
//
// The answer chooses each token itself, from the logits that it would have had, with its own
// sampler, penalties, constraint and random numbers. So it is the same as without a proposer, token
// by token, on every backend whose results do not depend on how tokens are cut into steps;
// elsewhere it is one of the same distribution.
//
// The rule of Leviathan, Kalman and Matias 2023 ("Fast inference from transformers via speculative
// decoding") accepts x with min(1, p(x) / q(x)), which for a draft that draws by itself happens
// more often than that two draws are equal (sum min(p, q) to sum p q). Not used, because its
// answers have only the right distribution: a seed would mean another text with another draft
// model, and a mistake could not be found by comparing. Nor would it accept more of proposals that
// are no draw (greedy, a look-up): both rules take those with p(x). A draft model gains the
// difference back by drawing with the same random numbers (DraftModel; Daliri, Musco and Suresh
// 2024, "Coupling without communication and drafter-invariant speculative decoding").
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/answer.h"
#include "engine/proposer.h"
#include "engine/session.h"
#include "model/backend.h"

namespace metier::engine {

// What came of a step: how many proposals stay in the sequence behind the token before them, and
// what Answer::Next said of the last row that was read.
struct Verdict {
  std::int64_t accepted = 0;
  Result<bool> goes_on = true;
};

// The proposals to one answer. Borrows the options' proposer, if there is one.
class Speculation {
 public:
  explicit Speculation(const GenerateOptions& options);

  // How many proposals the next step could use: the adapted number, less near the answer's most
  // tokens, so that no step computes what could not be said. 0 without a proposer.
  std::int64_t Wanted(const Answer& answer) const;
  // Up to `most` proposals for what follows `prompt` and the answer so far; none when most is 0.
  // `prompt` is read at the first call. Errors as Proposer::Propose.
  Result<std::vector<text::TokenId>> Propose(std::span<const text::TokenId> prompt,
                                             const Answer& answer, std::int64_t most);
  // The answer chooses after the rows of [last token, proposals...], until it ends or chooses
  // something else. rows: proposals + 1.
  Verdict Verify(Answer& answer, const model::Rows& rows, std::span<const text::TokenId> proposals);

  std::int64_t proposed() const { return proposed_; }
  std::int64_t accepted() const { return accepted_; }

 private:
  Proposer* proposer_;
  std::int64_t max_proposals_;
  std::int64_t limit_;
  bool begun_ = false;
  std::size_t told_ = 0;  // tokens of the answer that the proposer knows
  std::int64_t proposed_ = 0;
  std::int64_t accepted_ = 0;
};

// The next number of proposals, from what came of the last ones: two more when all were accepted,
// up to `max`; else halfway down to what was accepted, but at least 1, so that it can grow again.
// Counts decide, never the clock: the same steps give the same numbers.
std::int64_t AdaptProposals(std::int64_t limit, std::int64_t max, std::int64_t proposed,
                            std::int64_t accepted);

// One step of the answer in a conversation that holds the prompt and all of the answer but its last
// token, which ends the same way when the answer goes on; when it has ended, or on an error of the
// answer, the session holds what it would hold without proposals. Returns whether it goes on.
// Errors as Proposer::Propose, Backend::Forward and Answer::Next.
Result<bool> StepAnswer(Session& session, std::span<const text::TokenId> prompt, Answer& answer,
                        Speculation& speculation);

}  // namespace metier::engine
