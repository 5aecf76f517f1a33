// engine/embedding.h - texts as vectors, from an encoder.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "model/backend.h"

namespace metier::engine {

enum class Pooling { kMean, kFirst };  // over all tokens; the first ([CLS])

// The pooled last hidden state [width], not normalised. types: one for each token, or empty: all 0.
// kInvalidArgument: the model is not an encoder; else as Backend::Forward.
Result<std::vector<float>> Embed(model::Backend& backend, std::span<const model::TokenId> tokens,
                                 std::span<const model::TokenId> types = {},
                                 Pooling pooling = Pooling::kMean);

}  // namespace metier::engine
