// cli/extract_adapter.h - a fine-tuned model written as an adapter of its base.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "merge/extract.h"

namespace metier::cli {

struct ExtractRequest {
  std::string base;   // Hugging Face directory or GGUF file
  std::string tuned;  // alike
  std::string out;    // a new folder, PEFT's form
  merge::ExtractOptions options;
};

// {"out", "rank", "modules": [{"module", "rank", "change", "error"}], "left_out": [tensor]}; what
// change and error are says merge/extract.h. `out` appears complete or not at all.
// kInvalidArgument: it is there already; other vocabularies; what merge::ExtractAdapter says.
Result<Json> ExtractAdapter(const ExtractRequest& request);

}  // namespace metier::cli
