// engine/draft_model.h - proposes what a smaller model of the same vocabulary would say.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/proposer.h"
#include "engine/session.h"
#include "model/backend.h"

namespace metier::engine {

struct DraftOptions {
  // Without a value the draft model chooses as the request's sampler would: with its penalties and
  // the random numbers that it is about to use, so that two models that agree about a distribution
  // draw the same token from it. With one: at this temperature (0: the most likely token), by a
  // random stream of its own.
  std::optional<double> temperature = {};
  std::uint64_t seed = 0;  // of that stream
};

class DraftModel : public Proposer {
 public:
  // On a sequence of its own in `backend`, which must outlive it and be another than the one that
  // it proposes for. kInvalidArgument: a vocabulary other than `vocab` tokens, an encoder, a
  // temperature out of range. Errors as Backend::OpenSequence.
  static Result<std::unique_ptr<DraftModel>> Create(
      model::Backend& backend, std::int64_t vocab, const DraftOptions& options = {},
      model::AdapterId adapter = model::AdapterId::kNone);

  void Begin(std::span<const text::TokenId> tokens) override;
  void Extend(std::span<const text::TokenId> tokens) override;
  // Fewer, or none, near the draft model's last position and where its memory ends: then the answer
  // goes on without. Other errors as Backend::Forward and Sampler::Next.
  // Cost: one pass over the tokens that are new to the draft model, one for each further proposal.
  Result<std::vector<text::TokenId>> Propose(std::int64_t most, const Sampler& sampler) override;

 private:
  DraftModel(Session session, std::optional<SamplerOptions> own)
      : session_(std::move(session)), own_options_(std::move(own)) {}
  Status Draw(std::int64_t most, Sampler& sampler, std::vector<text::TokenId>& proposals);

  Session session_;  // the text as far as it is computed, and behind it the last proposals
  std::optional<SamplerOptions> own_options_;
  std::optional<Sampler> own_;  // of the text
  std::vector<text::TokenId> tokens_;
};

}  // namespace metier::engine
