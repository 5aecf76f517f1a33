// evaluate/language_model.h - what evaluations ask of a model. The native engine answers
// (evaluate/backend_model.h); tests answer with models whose probabilities are known in closed
// form.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace metier::evaluate {

// Slots remember: a prompt that begins like its slot's last one costs only what is new. Small
// numbers, from 0 on.
struct Prompt {
  std::size_t slot = 0;
  std::span<const text::TokenId> tokens = {};
};

class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  // Longest sequence it takes, in tokens.
  virtual std::int64_t MaxTokens() const = 0;

  // ln p(tokens[i] | tokens[0..i)) for i in [first, tokens.size()). Requires 1 <= first.
  // kInvalidArgument: longer than MaxTokens().
  virtual Result<std::vector<double>> LogProbs(std::span<const text::TokenId> tokens,
                                               std::size_t first) = 0;

  // The most likely continuation of each prompt, ended by a token of `stop` (not included) or
  // max_tokens. Requires prompts in different slots. kInvalidArgument: an empty prompt.
  virtual Result<std::vector<std::vector<text::TokenId>>> Greedy(
      std::span<const Prompt> prompts, std::int64_t max_tokens,
      std::span<const text::TokenId> stop) = 0;
};

}  // namespace metier::evaluate
