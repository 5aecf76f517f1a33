// cli/model_path.h - what the MODEL of a command line stands for.
#pragma once

#include <string>

#include "base/result.h"

namespace metier::cli {

struct ModelPath {
  std::string base;     // a Hugging Face directory or a GGUF file
  std::string adapter;  // PEFT directory; "": none
};

// A specialist (verified; its base and adapter), or the path itself. kInvalidArgument: an adapter
// for a specialist that has one.
Result<ModelPath> ResolveModelPath(const std::string& path, const std::string& adapter);

}  // namespace metier::cli
