#include "engine/scoring.h"

#include <algorithm>
#include <cmath>

#include "engine/sampler.h"

namespace metier::engine {

using model::Backend;
using model::Rows;
using model::SequenceStep;
using model::TokenId;

namespace {

// Closes the sequence on every way out.
class Scratch {
 public:
  Scratch(Backend& backend, model::SequenceId sequence) : backend_(backend), sequence_(sequence) {}
  ~Scratch() { backend_.CloseSequence(sequence_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  model::SequenceId id() const { return sequence_; }

 private:
  Backend& backend_;
  model::SequenceId sequence_;
};

}  // namespace

Result<std::vector<double>> ScoreTokens(Backend& backend, std::span<const TokenId> tokens,
                                        const ScoreOptions& options) {
  std::vector<double> scores;
  const auto total = static_cast<std::int64_t>(tokens.size()) - 1;
  if (total <= options.first) return scores;
  METIER_ASSIGN(const model::SequenceId sequence, backend.OpenSequence(options.adapter));
  const Scratch scratch(backend, sequence);
  const std::int64_t chunk = std::max<std::int64_t>(options.chunk_tokens, 1);
  for (std::int64_t begin = 0; begin < total;) {
    const bool skipped = begin < options.first;
    const std::int64_t end = std::min(skipped ? options.first : total, begin + chunk);
    const SequenceStep step{.sequence = scratch.id(),
                            .tokens = tokens.subspan(static_cast<std::size_t>(begin),
                                                     static_cast<std::size_t>(end - begin)),
                            .types = {},
                            .want = skipped ? model::Want::kNothing : model::Want::kAll};
    METIER_ASSIGN(const std::span<const Rows> rows, backend.Forward({&step, 1}));
    for (std::int64_t i = 0; i < rows.front().count; ++i) {
      const std::span<const float> logits = rows.front().Row(i);
      const TokenId next = tokens[static_cast<std::size_t>(begin + i + 1)];
      if (next < 0 || next >= static_cast<TokenId>(logits.size()))
        return Error(ErrorCode::kInvalidArgument, "a token outside the vocabulary");
      const double score = logits[static_cast<std::size_t>(next)] - LogSumExp(logits);
      if (std::isnan(score))
        return Error(ErrorCode::kDataCorrupt, "the model's logits are not numbers");
      scores.push_back(score);
    }
    begin = end;
  }
  return scores;
}

}  // namespace metier::engine
