#include "cli/speculation.h"

#include <fmt/format.h>

#include "base/log.h"
#include "cli/loaded_model.h"
#include "cli/model_path.h"
#include "engine/draft_model.h"
#include "engine/prompt_lookup.h"

namespace metier::cli {

Result<OpenedProposer> OpenedProposer::Open(const SpeculationFlags& flags,
                                            const model::ModelSpec& spec,
                                            const specialist::LoadOptions& load) {
  OpenedProposer opened;
  opened.most_ = flags.max_proposals;
  if (flags.lookup && !flags.draft.empty())
    return Error(ErrorCode::kInvalidArgument, "found both --draft and --lookup, expected one");
  if (flags.lookup) opened.proposer_ = std::make_unique<engine::PromptLookup>();
  if (flags.draft.empty()) return opened;
  METIER_ASSIGN(const ModelPath place, ResolveModelPath(flags.draft, ""));
  METIER_ASSIGN(
      opened.draft_,
      LoadModel(place.base, place.adapter,
                {.threads = load.threads, .kv_type = load.kv_type, .arithmetic = load.arithmetic}));
  auto proposer =
      engine::DraftModel::Create(*opened.draft_.backend, spec.vocab, {}, opened.draft_.adapter);
  if (!proposer.ok()) return std::move(proposer).error().With("--draft '" + flags.draft + "'");
  opened.proposer_ = std::move(proposer).value();
  return opened;
}

void OpenedProposer::AddTo(engine::GenerateOptions& options) const {
  options.proposer = proposer_.get();
  options.max_proposals = most_;
}

void OpenedProposer::Count(const engine::Generation& answer) {
  proposed_ += answer.proposed_tokens;
  accepted_ += answer.accepted_tokens;
}

void OpenedProposer::Report() const {
  if (proposer_ == nullptr) return;
  LogInfo(fmt::format("{} of {} proposed tokens were right", accepted_, proposed_));
}

}  // namespace metier::cli
