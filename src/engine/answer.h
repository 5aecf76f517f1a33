// engine/answer.h - one answer while it is made: from logits to tokens to text, until it ends.
//
// What a conversation (generate.h) and a batch of many (scheduler.h) have in common. It knows no
// backend: whoever owns it computes the tokens that it chooses.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/sampler.h"
#include "engine/stop_text.h"
#include "model/model_spec.h"
#include "text/tokenizer.h"

namespace metier::engine {

// Says which tokens may come next (grammars, schemas). One object serves one answer.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  // The mask for the next token; the words stay valid until Accept. Bits of end tokens say whether
  // the answer may end here.
  virtual Result<TokenMask> Mask() = 0;
  virtual Status Accept(text::TokenId token) = 0;
};

class Proposer;  // proposer.h

struct GenerateOptions {
  SamplerOptions sampler;
  std::int64_t max_tokens = 256;          // of the answer
  std::vector<std::string> stop;          // texts that end the answer and are not part of it
  std::vector<text::TokenId> end_tokens;  // end it too; empty: the tokenizer's eos and end_of_turn
  bool ignore_end_tokens = false;         // go on to max_tokens (benchmarks)
  TokenConstraint* constraint = nullptr;  // borrowed
  // Guesses tokens so that several come from one pass (speculate.h); changes no answer. Borrowed,
  // or nullptr. One object serves one answer at a time.
  Proposer* proposer = nullptr;
  std::int64_t max_proposals = 8;  // a pass; fewer after wrong ones
  std::stop_token cancel;
  // Called with each token of the answer, before its text.
  std::function<void(const Choice&)> on_token;
  // Called with complete characters that can no longer become part of a stop text.
  std::function<void(std::string_view)> on_text;
};

enum class FinishReason { kStop, kLength, kCancelled };
// "stop", "length", "cancelled".
std::string_view FinishReasonName(FinishReason reason);

struct Generation {
  std::vector<text::TokenId> tokens;  // the answer; an end token that ended it is not included
  std::string text;                   // up to the stop text
  FinishReason finish = FinishReason::kStop;
  std::string stop;             // the stop text that ended it, or ""
  std::vector<Choice> choices;  // one for each token, when the sampler reports probabilities
  std::int64_t prompt_tokens = 0;
  std::int64_t reused_tokens = 0;    // of the prompt, not computed: the past held them before
  std::int64_t proposed_tokens = 0;  // by the proposer, and computed
  std::int64_t accepted_tokens = 0;  // of these, kept: passes that were not needed
  double queue_seconds = 0;          // before any of it was computed
  double prompt_seconds = 0;
  double answer_seconds = 0;
};

// kInvalidArgument: options out of range, a model that cannot continue a text, a prompt that is
// empty or leaves no room for one token in `positions` (with the numbers).
Status CheckPrompt(const model::ModelSpec& spec, std::int64_t positions,
                   std::span<const text::TokenId> prompt, const GenerateOptions& options);

class Answer {
 public:
  // Requires what CheckPrompt checks. Borrows tokenizer and options. What its tokens need is
  // allocated here, so that Next allocates nothing but reported probabilities.
  Answer(const text::Tokenizer& tokenizer, const GenerateOptions& options,
         std::span<const text::TokenId> prompt, std::int64_t positions);
  ~Answer() = default;
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  // Chooses a token after logits [vocab], those after the prompt and the answer so far. True: the
  // answer goes on behind tokens().back(). False: it has ended, with or without another token; do
  // not call it again. Errors as Sampler::Next and those of the constraint.
  Result<bool> Next(std::span<const float> logits);
  const std::vector<text::TokenId>& tokens() const { return result_.tokens; }
  // How many more it could have.
  std::int64_t remaining() const {
    return most_ - static_cast<std::int64_t>(result_.tokens.size());
  }
  // As it stands before the next choice.
  const Sampler& sampler() const { return sampler_; }

  // Ends it here.
  void Cancel() { result_.finish = FinishReason::kCancelled; }
  // Shows what was held back. The answer is spent; times and reused tokens are for its owner.
  Generation Finish();

 private:
  bool End(FinishReason reason);
  bool StopFound();
  void Show(std::string_view piece);

  const GenerateOptions& options_;
  std::int64_t most_;  // tokens
  std::vector<text::TokenId> ends_;
  Sampler sampler_;
  text::StreamDecoder decoder_;
  StopText stops_;
  Generation result_;
};

}  // namespace metier::engine
