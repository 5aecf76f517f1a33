// engine/sampler.h - from logits to the next token, the one way for evaluation, generation and
// serving.
//
// Order, as in the field's servers: bias and penalties on the logits, temperature, top-k, top-p,
// min-p, then one uniform number from the request's own stream. Each filter sees the distribution
// that the ones before it left, renormalised. Temperature 0 takes the largest logit, the lowest id
// of equal ones.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/rng.h"
#include "kernels/kernel_table.h"
#include "text/tokenizer.h"

namespace metier::engine {

struct SamplerOptions {
  double temperature = 1.0;         // 0: greedy
  std::int64_t top_k = 0;           // most likely tokens kept; 0: all
  double top_p = 1.0;               // smallest set whose probability reaches this
  double min_p = 0.0;               // least probability, as a share of the largest
  double repetition_penalty = 1.0;  // logits of prompt and answer tokens: > 0 divided, else times
  double presence_penalty = 0.0;    // subtracted once for each token the answer holds
  double frequency_penalty = 0.0;   // subtracted for each time it does
  std::map<text::TokenId, double> logit_bias = {};  // added
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;  // of the seed: one for each request or choice
  int top_logprobs = -1;     // report this many alternatives with each token; -1: no probabilities
};

// kInvalidArgument: a value outside its range, by name.
Status Validate(const SamplerOptions& options);

// Tokens that may come next, one bit each: bit id % 64 of word id / 64. Empty: all. The seam for
// grammars; whoever owns the words keeps them alive during the call.
using TokenMask = std::span<const std::uint64_t>;

struct TokenLogProb {
  text::TokenId token = -1;
  double logprob = 0;
};

struct Choice {
  text::TokenId token = -1;
  double logprob = 0;             // of the model's own distribution, before any of the options
  std::vector<TokenLogProb> top;  // likewise, most likely first; equal ones by id
};

class Sampler {
 public:
  // Requires valid options. Copies them. `kernels` must outlive the sampler.
  explicit Sampler(const SamplerOptions& options);

  // Tokens of the prompt, for the repetition penalty.
  void AddPrompt(std::span<const text::TokenId> tokens);
  // Up to `count` choices will be made: what is noted of them is given its memory now.
  void ExpectChoices(std::size_t count);

  // The next token after logits [vocab], which count as chosen from now on. kDataCorrupt: logits
  // that are not numbers (a broken model). kInvalidArgument: the mask allows nothing, or a biased
  // id is outside the vocabulary.
  Result<Choice> Next(std::span<const float> logits, TokenMask mask = {});

 private:
  bool CountsChoices() const;
  void ApplyPenalties(std::span<float> logits) const;
  void Count(text::TokenId token);
  text::TokenId Draw(std::span<const float> logits);

  SamplerOptions options_;
  Rng rng_;
  // By id; noted only where a penalty asks for them.
  std::vector<text::TokenId> prompt_tokens_;
  std::vector<std::pair<text::TokenId, std::int64_t>> answer_counts_;

  // Of one choice, kept between choices for their memory.
  std::vector<float> adjusted_;
  std::vector<std::pair<float, text::TokenId>> candidates_;
  std::vector<double> weights_;
};

// ln of the sum of exp, in double. Requires values that are not all -infinity.
double LogSumExp(std::span<const float> values);

}  // namespace metier::engine
