// engine/proposer.h - guesses how a text goes on, for speculation (speculate.h).
//
// A guess can only cost time: the answer is the same with good ones, bad ones and none.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/sampler.h"
#include "text/tokenizer.h"

namespace metier::engine {

// Follows one text at a time. Not thread-safe.
class Proposer {
 public:
  virtual ~Proposer() = default;

  // A new text, which begins with these tokens. Copies them.
  virtual void Begin(std::span<const text::TokenId> tokens) = 0;
  // The text went on. Copies them. Their number, not the text's length, is what this may cost.
  virtual void Extend(std::span<const text::TokenId> tokens) = 0;
  // Up to `most` tokens, perhaps none, that may come next, of the vocabulary; most >= 1. `sampler`
  // is the one that will choose, as it stands before its next choice: a copy of it makes the same
  // choices from the same logits. Whatever is proposed is not part of the text until Extend.
  virtual Result<std::vector<text::TokenId>> Propose(std::int64_t most, const Sampler& sampler) = 0;
};

}  // namespace metier::engine
