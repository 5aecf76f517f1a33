// engine/scoring.h - how likely a model finds a given text: what perplexity and multiple choice
// need.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "model/backend.h"

namespace metier::engine {

struct ScoreOptions {
  model::AdapterId adapter = model::AdapterId::kNone;
  std::int64_t first = 0;           // scores before it are not computed
  std::int64_t chunk_tokens = 256;  // logits held at once: chunk_tokens * vocab floats
};

// ln p(tokens[i + 1] | tokens[0..i]) for i in [first, tokens.size() - 1), in double from float
// logits. Requires 0 <= first. One more than max_positions tokens is fine: the last is only
// predicted. Errors as Backend::Forward; kDataCorrupt: logits that are not numbers.
Result<std::vector<double>> ScoreTokens(model::Backend& backend,
                                        std::span<const model::TokenId> tokens,
                                        const ScoreOptions& options = {});

}  // namespace metier::engine
