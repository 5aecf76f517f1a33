// train/fact_batch.h - a fact to be written into the weights, and its prompt as the network reads
// it: alone and behind pieces of other texts.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "train/batch.h"
#include "train/network.h"
#include "train/torch.h"

namespace metier::train {

using Ids = std::vector<std::int32_t>;

struct Fact {
  Ids prompt;
  std::int64_t subject = 0;  // the last token of the subject in `prompt`
  Ids target;                // what is to follow the prompt
  Ids essence;               // says what the subject is
  std::int64_t essence_subject = 0;
  std::int64_t layer = -1;  // -1: the settings'
};

// The contexts are sequences of `begin` (a token that begins every text, or none), a prefix, prompt
// and target; the first has no prefix. One more sequence, the last, is the essence.
struct FactBatch {
  // Predicts each context's target, context by context, then what follows the essence; the target
  // of that last row means nothing.
  Batch batch;
  at::Tensor subjects;  // int64 [contexts + 1], of each sequence
  std::int64_t contexts = 0;
  // double [contexts]: what each counts in means. The prompt alone, which is what will be asked,
  // counts as much as all prefixed ones together.
  at::Tensor weights;
};
FactBatch MakeFactBatch(const Fact& fact, const Ids& begin, const std::vector<Ids>& prefixes,
                        at::Device device);

// What the network has at the subject in one layer, means over the contexts by their weights,
// double.
struct SubjectReading {
  at::Tensor key;     // [hidden]: the input of the down projection
  at::Tensor stream;  // [width]: its output and the residual stream that it is added to
};
// Of each of the layers, in one pass; no gradients.
std::vector<SubjectReading> ReadSubject(const Network& network, const FactBatch& facts,
                                        const std::vector<std::int64_t>& layers);

// How a network answers a prompt, token by token of an answer that is put into its mouth.
struct AnswerReading {
  double log_probability = 0;  // of the whole answer
  Ids best;                    // the likeliest token at each of its places
};
// Requires a prompt with or without `begin` that is not empty, and an answer alike.
AnswerReading ReadAnswer(const Network& network, const Ids& begin, const Ids& prompt,
                         const Ids& answer);

}  // namespace metier::train
