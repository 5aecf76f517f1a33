// cli/edit_model.h - facts written into a model's weights, and taken out again.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "recipe/edit_config.h"

namespace metier::cli {

struct EditRequest {
  std::string model;  // Hugging Face directory, of a dense decoder
  std::string facts;  // JSONL (cli/edit_facts.h)
  std::string texts;  // token file, or JSONL of texts
  std::string keep;   // JSONL; "": none
  std::string essence = "{} is a";
  std::string out;
  recipe::EditConfig config;
};

// Writes the edited model to `out`, which appears complete or not at all, with its stack of edits
// (model/edit_files.h); an entry's "about" is {"metier", "method", "settings", "facts", "layers",
// "inputs": hashes of the files}, and nothing of time or place. Returns {"out", "method", "layers",
// "edits": how many are on the stack, "efficacy", "keep", "facts": [row and what became of it],
// "parameters", "texts_tokens"}.
//
// kInvalidArgument: `out` is there already; what the plug-in's verb says. kUnsupported: a GGUF
// file, a quantised or packed model, experts. While an InterruptGuard lives and was asked: an
// error, nothing is written.
Result<Json> EditModel(const EditRequest& request);

// Writes `model` without its newest `count` edits (0: without any) to `out`: {"out", "reverted",
// "edits": how many are left}. Errors as of model::WriteReverted.
Result<Json> RevertEdits(const std::string& model, std::int64_t count, const std::string& out);

}  // namespace metier::cli
