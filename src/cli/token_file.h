// cli/token_file.h - token ids in a JSON file: what scripts hand to `metier logits` and `metier
// parity`.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "model/backend.h"

namespace metier::cli {

// `[1, 2, 3]`, or `{"name": [1, 2, 3], ...}` with the name given. kDataCorrupt: anything else, and
// an empty list. kInvalidArgument: a name where there is a plain list, or none where there are
// several.
Result<std::vector<model::TokenId>> ReadTokenFile(const std::string& path, const std::string& name);

}  // namespace metier::cli
