// cli/convert_model.h - a model written anew: in another format or type, or with its adapter
// merged.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"

namespace metier::cli {

struct Conversion {
  std::string model;    // specialist, model directory or .gguf file
  std::string adapter;  // PEFT directory to merge; "": a specialist's own, or none
  std::string task;     // to take out of a model whose experts go by task; "": all of it
  std::string out;
  std::string to = "auto";          // "gguf", "huggingface"; auto: by the ending of `out`
  std::string dtype = "auto";       // "BF16", "Q4_K"; auto: the type of the model's largest part
  std::string head_dtype = "auto";  // of embedding and head in a GGUF; auto: model::GgufOptions
};

// What was written: {"out", "format", "dtype", "parameters", "merged", "tokenizer"}. `out` appears
// complete or not at all. kInvalidArgument: `out` is there already, a task that is not the model's.
// kUnsupported: the format has no form of it.
//
// The tokenizer goes along: a directory's files, or a GGUF's tokenizer.* keys. From a directory to
// GGUF it becomes tokenizer.huggingface.json, which Metier reads and which programs without that
// key refuse; from GGUF to a directory it needs that key. What could not go along is said in
// "tokenizer".
Result<Json> ConvertModel(const Conversion& conversion);

}  // namespace metier::cli
