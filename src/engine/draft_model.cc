#include "engine/draft_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace metier::engine {

using text::TokenId;

Result<std::unique_ptr<DraftModel>> DraftModel::Create(model::Backend& backend, std::int64_t vocab,
                                                       const DraftOptions& options,
                                                       model::AdapterId adapter) {
  const model::ModelSpec& spec = backend.spec();
  if (!spec.predicts_next()) {
    return Error(ErrorCode::kInvalidArgument,
                 "a '" + spec.family + "' model is an encoder: it cannot propose tokens");
  }
  if (spec.vocab != vocab) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("the draft model has a vocabulary of {} tokens, the model that it "
                             "proposes for one of {}; take a draft model of the same family",
                             spec.vocab, vocab));
  }
  std::optional<SamplerOptions> own;
  if (options.temperature) {
    own = SamplerOptions{.temperature = *options.temperature, .seed = options.seed};
    METIER_TRY(Validate(*own));
  }
  METIER_ASSIGN(Session session, Session::Open(backend, adapter));
  return std::unique_ptr<DraftModel>(new DraftModel(std::move(session), std::move(own)));
}

void DraftModel::Begin(std::span<const TokenId> tokens) {
  tokens_.assign(tokens.begin(), tokens.end());
  if (own_options_) own_.emplace(*own_options_);
}

void DraftModel::Extend(std::span<const TokenId> tokens) {
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
}

Result<std::vector<TokenId>> DraftModel::Propose(std::int64_t most, const Sampler& sampler) {
  // The logits after the last position give one token more.
  const std::int64_t room = session_.positions() - static_cast<std::int64_t>(tokens_.size()) + 1;
  std::vector<TokenId> proposals;
  if (room <= 0) return proposals;
  Status drawn = Ok();
  if (own_) {
    drawn = Draw(std::min(most, room), *own_, proposals);
  } else {
    Sampler copy = sampler;
    drawn = Draw(std::min(most, room), copy, proposals);
  }
  if (!drawn.ok() && drawn.error().code() != ErrorCode::kResourceExhausted)
    return std::move(drawn).error().With("the draft model");
  return proposals;
}

Status DraftModel::Draw(std::int64_t most, Sampler& sampler, std::vector<TokenId>& proposals) {
  METIER_ASSIGN(std::span<const float> logits, session_.Set(tokens_));
  while (true) {
    METIER_ASSIGN(const Choice choice, sampler.Next(logits));
    proposals.push_back(choice.token);
    if (static_cast<std::int64_t>(proposals.size()) == most) return Ok();
    METIER_ASSIGN(logits, session_.Append(choice.token));
  }
}

}  // namespace metier::engine
