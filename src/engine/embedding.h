// engine/embedding.h - texts as vectors, from an encoder.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "model/backend.h"

namespace metier::engine {

struct EmbedOptions {
  std::span<const model::TokenId> types = {};      // one for each token, or empty: all 0
  model::Pooling pooling = model::Pooling::kNone;  // kNone: what the model says, else the mean
};

// The last hidden states pooled into one vector [width]; of length 1 where the model says so.
// kInvalidArgument: the model is not an encoder; else as Backend::Forward.
Result<std::vector<float>> Embed(model::Backend& backend, std::span<const model::TokenId> tokens,
                                 const EmbedOptions& options = {});

}  // namespace metier::engine
