// cli/edit_facts.h - the files of `metier edit` as the plug-in's tokens (train/edit_verb.h).
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "text/tokenizer.h"

namespace metier::cli {

// The token that a tokenizer begins every text with, as a list; [] where there is none.
Result<Json> BeginningOf(const text::Tokenizer& tokenizer);

// Rows {"prompt": "The capital of X is", "subject": "X", "target": " Y", "layer": 5}, the layer
// optional. `essence`: what says of a subject what it is, with {} in its place. The subject may end
// inside a token, which then counts as its last; of several the last in the prompt counts.
// kDataCorrupt: a row that is not of this form, a subject that is not in its prompt. kNotFound: no
// file; kInvalidArgument: an essence without {}, no row.
struct FactFile {
  Json rows;   // as they stand in the file
  Json facts;  // [{"prompt": ids, "subject": place, "target": ids, "essence", "essence_subject",
               // "layer"}]
};
Result<FactFile> ReadFactFile(const std::string& path, const text::Tokenizer& tokenizer,
                              const std::string& essence);

// Rows {"prompt": TEXT, "answer": TEXT}, the answer optional: [{"prompt": ids, "answer": ids}].
Result<Json> ReadKeepFile(const std::string& path, const text::Tokenizer& tokenizer);

// A token file (.safetensors), or rows {"text": TEXT}: lists of ids, up to `most_tokens` in all.
Result<Json> ReadEditTexts(const std::string& path, const text::Tokenizer& tokenizer,
                           std::int64_t most_tokens);

}  // namespace metier::cli
