// evaluate/backend_model.h - a LanguageModel on any Backend: a sequence for each slot, reused while
// its prompts share a beginning; what several slots say next is computed in one step.
//
// A mixture by sequence is asked as it is served: what stands before the first token that is scored
// or written is the prompt that chooses.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "evaluate/language_model.h"
#include "model/backend.h"

namespace metier::evaluate {

class BackendModel : public LanguageModel {
 public:
  // Borrows the backend, which must outlive this object. kInvalidArgument: no such adapter.
  static Result<std::unique_ptr<BackendModel>> Create(
      model::Backend& backend, model::AdapterId adapter = model::AdapterId::kNone);
  ~BackendModel() override;
  BackendModel(const BackendModel&) = delete;
  BackendModel& operator=(const BackendModel&) = delete;

  std::int64_t MaxTokens() const override;
  Result<std::vector<double>> LogProbs(std::span<const text::TokenId> tokens,
                                       std::size_t first) override;
  Result<std::vector<std::vector<text::TokenId>>> Greedy(
      std::span<const Prompt> prompts, std::int64_t max_tokens,
      std::span<const text::TokenId> stop) override;

 private:
  struct Slot {
    std::optional<model::SequenceId> sequence;  // none: not open yet
    model::AdapterId adapter{};
    std::vector<text::TokenId> prompt;  // that a mixture by sequence chose by
    std::vector<text::TokenId> cached;
  };
  struct Answer;

  BackendModel(model::Backend& backend, model::AdapterId adapter)
      : backend_(backend), adapter_(adapter) {}

  // There are slots below `count` afterwards.
  void AddSlots(std::size_t count);
  // Opens the slot's sequence for what begins with `prompt`; anew where that is another adapter's.
  Status Open(Slot& slot, std::span<const text::TokenId> prompt);
  // Leaves in the cache the longest beginning that it shares with `tokens`, at most `most` of them;
  // how many.
  std::size_t Reuse(Slot& slot, std::span<const text::TokenId> tokens, std::size_t most);
  // Appends tokens; rows as wanted.
  Result<model::Rows> Append(Slot& slot, std::span<const text::TokenId> tokens, model::Want want);
  // Appends tokens in steps of bounded size; the most likely token after them.
  Result<text::TokenId> Prefill(Slot& slot, std::span<const text::TokenId> tokens);
  // Appends to each its next token and finds what follows.
  Status Step(std::span<Answer*> answers);

  model::Backend& backend_;
  model::AdapterId adapter_;
  std::vector<Slot> slots_;
};

}  // namespace metier::evaluate
