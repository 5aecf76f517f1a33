// engine/generate.h - continues a prompt: samples, streams whole characters, knows when to stop.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/sampler.h"
#include "engine/session.h"
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

struct GenerateOptions {
  SamplerOptions sampler;
  std::int64_t max_tokens = 256;          // of the answer
  std::vector<std::string> stop;          // texts that end the answer and are not part of it
  std::vector<text::TokenId> end_tokens;  // end it too; empty: the tokenizer's eos and end_of_turn
  bool ignore_end_tokens = false;         // go on to max_tokens (benchmarks)
  TokenConstraint* constraint = nullptr;  // borrowed
  std::stop_token cancel;
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
  std::int64_t reused_tokens = 0;  // of the prompt, held by the session before
  double prompt_seconds = 0;
  double answer_seconds = 0;
};

// Answers the prompt; afterwards the session holds prompt and answer, ready for the next turn.
// kInvalidArgument: options out of range, an empty prompt, a prompt that leaves no room
// for one token (with the numbers), and what Sampler::Next says. An answer that reaches the model's
// last position ends with kLength.
Result<Generation> Generate(Session& session, const text::Tokenizer& tokenizer,
                            std::span<const text::TokenId> prompt, const GenerateOptions& options);

}  // namespace metier::engine
