// engine/speculate.h - several tokens of an answer from one pass: what a proposer guesses is
// computed with the last token, and the answer keeps it as far as it would have said the same.
//
//   trial:  [last, p1, p2, p3]  -> rows 0 1 2 3
//   row 0:  the answer chooses a token. Is it p1? Then row 1 is what comes after it: choose again.
//   Else what was chosen stands, and the rows behind, which follow a token that never came, and
//   their past in the backend are dropped.
//
// The answer chooses each token itself, from the logits that it would have had, with its own
// sampler, penalties, constraint and random numbers. So it is the same as without a proposer, token
// by token, on every backend whose results do not depend on how tokens are cut into steps;
// elsewhere it is one of the same distribution.
//
// This is the rejection rule of Leviathan, Kalman and Matias 2023 ("Fast inference from
// transformers via speculative decoding") and Chen et al. 2023 for proposals that are no draw (a
// look-up, the likeliest token of a draft model): both take x with probability p(x), and else draw
// from p without x. For a draft that draws from q they take it with min(1, p(x) / q(x)), which
// happens more often than that two draws are equal. Not used: its answers have only the right
// distribution, so that with one seed the draft model, the number of proposals and through it the
// load of a scheduler would change the text. DraftModel draws with the random numbers that the
// answer is about to use, which gains a part of the difference where both rank the tokens alike: of
// 100 logits that spread by 3 and differ by 0.3 (standard deviations of normal ones, simulated)
// that rule takes 0.91, these draws agree in 0.57, independent ones in 0.32 of the cases.
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

// What came of a trial: how many proposals stay in the sequence behind the token before them, and
// what Answer::Next said of the last row that was read.
struct Verdict {
  std::int64_t accepted = 0;
  Result<bool> goes_on = true;
};

// The proposals to one answer. Borrows the options' proposer, if there is one.
class Speculation {
 public:
  explicit Speculation(const GenerateOptions& options);

  // How many proposals the next step could use behind the `known` tokens of prompt and answer: the
  // adapted number, less near the answer's most tokens, so that nothing is computed that could not
  // be said, and as many as fill no page. A full page is found by its tokens: those that never came
  // would push useful ones out, and writing into a page that others found takes a copy, for which
  // there may be no room. 0 without a proposer.
  std::int64_t Wanted(const Answer& answer, std::int64_t known,
                      const model::CacheStats& cache) const;
  // The last token of prompt and answer and up to `most` proposals behind it, none when most is 0.
  // Valid until the next call. `prompt`, not empty, is the same each time. Errors as
  // Proposer::Propose.
  Result<std::span<const text::TokenId>> Try(std::span<const text::TokenId> prompt,
                                             const Answer& answer, std::int64_t most);
  std::span<const text::TokenId> trial() const { return trial_; }  // of the last Try
  // The answer chooses after each row, until it ends or chooses something else than the trial has.
  // rows: after the first tokens of the trial, as many as were computed; one row alone may as well
  // be what follows the prompt.
  Verdict Verify(Answer& answer, const model::Rows& rows);

  std::int64_t proposed() const { return proposed_; }  // and computed
  std::int64_t accepted() const { return accepted_; }

 private:
  Proposer* proposer_;
  std::int64_t max_proposals_;
  std::int64_t limit_;
  bool begun_ = false;
  std::size_t told_ = 0;  // tokens of the answer that the proposer knows
  std::vector<text::TokenId> trial_;
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
