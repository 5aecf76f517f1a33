// evaluate/language_model.h - what evaluations ask of a model. The native engine answers
// (evaluate/native_model.h); tests answer with models whose probabilities are known in closed form.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace metier::evaluate {

class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  // Longest sequence it takes, in tokens.
  virtual std::int64_t MaxTokens() const = 0;

  // ln p(tokens[i] | tokens[0..i)) for i in [first, tokens.size()). Requires 1 <= first.
  // kInvalidArgument: longer than MaxTokens().
  virtual Result<std::vector<double>> LogProbs(std::span<const text::TokenId> tokens,
                                               std::size_t first) = 0;

  // The most likely continuation, ended by a token of `stop` (not included) or max_tokens.
  virtual Result<std::vector<text::TokenId>> Greedy(std::span<const text::TokenId> prompt,
                                                    std::int64_t max_tokens,
                                                    std::span<const text::TokenId> stop) = 0;
};

}  // namespace metier::evaluate
