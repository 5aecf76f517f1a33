// evaluate/backend_model.h - a LanguageModel on any Backend: one sequence that is reused while
// prompts share a beginning.
#pragma once

#include <memory>
#include <vector>

#include "evaluate/language_model.h"
#include "model/backend.h"

namespace metier::evaluate {

class BackendModel : public LanguageModel {
 public:
  // Borrows the backend, which must outlive this object. What the backend says when no sequence can
  // be opened.
  static Result<std::unique_ptr<BackendModel>> Create(
      model::Backend& backend, model::AdapterId adapter = model::AdapterId::kNone);
  ~BackendModel() override;
  BackendModel(const BackendModel&) = delete;
  BackendModel& operator=(const BackendModel&) = delete;

  std::int64_t MaxTokens() const override;
  Result<std::vector<double>> LogProbs(std::span<const text::TokenId> tokens,
                                       std::size_t first) override;
  Result<std::vector<text::TokenId>> Greedy(std::span<const text::TokenId> prompt,
                                            std::int64_t max_tokens,
                                            std::span<const text::TokenId> stop) override;

 private:
  BackendModel(model::Backend& backend, model::SequenceId sequence)
      : backend_(backend), sequence_(sequence) {}

  // Leaves in the cache the longest beginning that it shares with `tokens`, at most `most` of them;
  // how many.
  std::size_t Reuse(std::span<const text::TokenId> tokens, std::size_t most);
  // Appends tokens; rows as wanted.
  Result<model::Rows> Append(std::span<const text::TokenId> tokens, model::Want want);
  // Appends tokens in steps of bounded size; the rows of the last token.
  Result<model::Rows> Prefill(std::span<const text::TokenId> tokens);

  model::Backend& backend_;
  model::SequenceId sequence_;
  std::vector<text::TokenId> cached_;
};

}  // namespace metier::evaluate
