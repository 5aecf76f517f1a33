#include "engine/admission.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/step_plan.h"

namespace metier::engine {

using text::TokenId;

Status CheckFits(const Request& request, const ClientLimits& limits, const model::ModelSpec& spec,
                 std::int64_t prefix, const model::CacheStats& capacity) {
  const std::int64_t positions = spec.max_positions - prefix;
  METIER_TRY(CheckPrompt(spec, positions, request.prompt, request.options));
  const auto prompt = static_cast<std::int64_t>(request.prompt.size());
  const std::int64_t answer = request.options.max_tokens;
  for (const TokenId token : request.prompt) {
    if (token < 0 || token >= spec.vocab) {
      return Error(
          ErrorCode::kInvalidArgument,
          fmt::format("token {} of the prompt is outside the vocabulary of {}", token, spec.vocab));
    }
  }
  // Nothing is computed behind the last token of an answer, so it needs no position.
  if (answer > positions - prompt + 1) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("a prompt of {} tokens and an answer of up to {} pass the model's {} "
                             "positions; lower max_tokens to {} or shorten the prompt",
                             prompt, answer, positions, positions - prompt + 1));
  }
  if (limits.max_tokens > 0 && prompt + answer > limits.max_tokens) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("a prompt of {} tokens and an answer of up to {} are over the limit "
                             "of {} tokens a request; lower max_tokens or shorten the prompt",
                             prompt, answer, limits.max_tokens));
  }
  const std::int64_t pages =
      PagesFor(prefix + prompt + std::max<std::int64_t>(answer, 1) - 1, capacity);
  if (pages > capacity.max_pages) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("a prompt of {} tokens and an answer of up to {} need {} pages of {} "
                             "tokens ({} bytes each), the KV cache has room for {}; lower "
                             "max_tokens, shorten the prompt or raise the cache's limit",
                             prompt, answer, pages, capacity.page_tokens, capacity.page_bytes,
                             capacity.max_pages));
  }
  return Ok();
}

}  // namespace metier::engine
