// cli/describe.h - what a path holds, as one document: what `metier inspect` prints.
//
//   {"path", "kind": "specialist" | "model" | "adapter" | "mixture" | "hypernetwork" | "tensors" |
//    "vocabulary", "format", ...,
//    "parameters", "bytes", "types": {"F32": {"tensors", "parameters", "bytes"}},
//    "metadata": {...}, "tensors": [{"name", "dtype", "shape"}]}
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"

namespace metier::cli {

enum class ListTensors { kNo, kYes };

// A specialist, model or adapter directory, a .gguf or .safetensors file. Long arrays of metadata
// are given by their length and their beginning. kNotFound: nothing there that we know, with what
// was looked for.
Result<Json> DescribePath(const std::string& path, ListTensors tensors);

}  // namespace metier::cli
