// train/edit_verb.h - the plug-in's verb "edit": facts as tokens in, changed weights and what they
// did out.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "train/trainer.h"

namespace metier::train {

// Request, as tokens without special ones:
//
//   {"model": a Hugging Face directory, "begin": tokens that begin every text,
//    "facts": [{"prompt", "subject": where the subject ends in it, "target", "essence",
//               "essence_subject", "layer"}],
//    "keep": [{"prompt", "answer"}], "texts": [[ids], ...], "settings": recipe::EditConfig,
//    "out": a safetensors file}
//
// Writes the changed down projections to `out`, F32 under our names, values as their stored type
// has them. Returns {"layers", "parameters": [{"name", "change"}], "facts": [{"layers", "steps",
// "objective", "change", "probability_before", "probability_after", "answered_before",
// "answered"}], "efficacy", "keep": {"prompts", "changed", "drift", "probability_before",
// "probability_after"} or null, "texts_tokens"}. A fact is answered, and a kept answer is the same,
// when the likeliest token at each of its places says so. Events: {"event": "keys"
// or "facts", "done", "total"}.
//
// kInvalidArgument: ids, places or layers that are not there; no fact, no text; asked to end.
// kUnsupported: as of LayersToEdit and EditedWeights::Add.
Result<Json> EditModel(const Json& request, const EventSink& sink);

}  // namespace metier::train
