// tests/support/reference_model.h - a ModelSpec computed in double by plain loops: what executors
// are compared with.
//
// Written from the text of model/model_spec.h alone. It shares no code with any executor, not even
// the rotation speeds and ALiBi slopes, and does nothing for speed: a whole sequence at once, no
// cache.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "model/model_spec.h"

namespace metier::test {

// The values of a parameter by our name, row-major.
using ReferenceParameters = std::function<std::vector<float>(const std::string& name)>;

struct ReferenceResult {
  // x after the embeddings, then after each layer, [tokens, width] each: names the first wrong
  // layer.
  std::vector<std::vector<double>> states;
  // Logits [tokens, vocab], or last hidden states [tokens, width] of an encoder.
  std::vector<double> output;
};

// types: a token type each, or empty for all 0.
ReferenceResult RunReference(const model::ModelSpec& spec, const ReferenceParameters& parameters,
                             const std::vector<std::int32_t>& tokens,
                             const std::vector<std::int32_t>& types = {});

}  // namespace metier::test
