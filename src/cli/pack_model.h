// cli/pack_model.h - a model written as the engine streams it (engine/packed_file.h).
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"

namespace metier::cli {

// A GGUF file becomes a GGUF file, a directory a directory with config and tokenizer, a specialist
// a specialist whose base is packed and whose manifest is made anew. `out` appears complete or not
// at all. What was written: {"out", "parameters", "layout", "panel_bytes", "row_bytes"}.
// kInvalidArgument: `out` is there already; the model is packed already.
Result<Json> PackModel(const std::string& model, const std::string& out, int threads);

}  // namespace metier::cli
