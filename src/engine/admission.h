// engine/admission.h - what a scheduler refuses at once, because waiting would not help.
#pragma once

#include "base/result.h"
#include "engine/request.h"
#include "model/backend.h"
#include "model/model_spec.h"

namespace metier::engine {

// kInvalidArgument: what CheckPrompt refuses, tokens outside the vocabulary, an answer that could
// pass the model's last position.  kResourceExhausted: prompt and answer could outgrow the whole
// cache, or are more than the client may ask for. All with the numbers.
// `prefix`: positions that the adapter's takes.
Status CheckFits(const Request& request, const ClientLimits& limits, const model::ModelSpec& spec,
                 std::int64_t prefix, const model::CacheStats& capacity);

}  // namespace metier::engine
