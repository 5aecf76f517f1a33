// cli/speculation.h - the flags that let several tokens of an answer come from one pass
// (engine/speculate.h), shared by `generate` and `chat`.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "engine/answer.h"
#include "engine/proposer.h"
#include "model/model_spec.h"
#include "specialist/chat_reply.h"

namespace metier::cli {

struct SpeculationFlags {
  std::string draft;
  bool lookup = false;
  std::int64_t max_proposals = engine::GenerateOptions().max_proposals;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("draft", draft,
          "a smaller model of the same vocabulary that proposes tokens, several of which are "
          "checked in one pass: faster where it is often right, and never another answer");
    field("lookup", lookup,
          "propose what followed the last tokens where they stood before: for answers that repeat "
          "what was read, such as summaries and edits; never another answer");
    field("max-proposals", max_proposals,
          "tokens that --draft or --lookup propose at once, at most; fewer after wrong ones")
        .AtLeast(1)
        .AtMost(64);
  }
};

// What proposes, and the model that it needs.
class OpenedProposer {
 public:
  // For a model of this spec. Nothing proposes where no flag asks for it. kInvalidArgument: both
  // --draft and --lookup, a vocabulary of another size (with both). Otherwise as opening a model.
  static Result<OpenedProposer> Open(const SpeculationFlags& flags, const model::ModelSpec& spec,
                                     const specialist::LoadOptions& load);

  // The options borrow the proposer.
  void AddTo(engine::GenerateOptions& options) const;
  // Counts what came of the proposals to an answer.
  void Count(const engine::Generation& answer);
  // Says it on stderr, if anything proposed.
  void Report() const;

 private:
  specialist::LoadedModel draft_;  // lives longer than who proposes with it
  std::unique_ptr<engine::Proposer> proposer_;
  std::int64_t most_ = 0;
  std::int64_t proposed_ = 0;
  std::int64_t accepted_ = 0;
};

}  // namespace metier::cli
