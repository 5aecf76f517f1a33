// data/preview.h - "what is trained": an example as people read it.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "text/tokenizer.h"

namespace metier::data {

enum class PreviewStyle {
  kBrackets,  // ⟦trained⟧, for logs
  kColours,   // trained text green, the rest dim
};

// The text of the tokens, control tokens spelled out, with the trained stretches marked. Requires
// ids.size() == loss.size(). kInvalidArgument: an id outside the vocabulary.
Result<std::string> Preview(const text::Tokenizer& tokenizer, std::span<const text::TokenId> ids,
                            std::span<const std::uint8_t> loss, PreviewStyle style);

}  // namespace metier::data
