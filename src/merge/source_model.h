// merge/source_model.h - a model that goes into a merge: its description, its parameters one at a
// time, its vocabulary.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "model/model_files.h"
#include "model/model_spec.h"
#include "tensor/dtype.h"
#include "text/tokenizer.h"

namespace metier::merge {

struct SourceModel {
  model::ModelSpec spec;
  model::ParameterReader read;                    // F32, [out, in]; from the mapped files
  std::optional<text::Tokenizer> tokenizer = {};  // nothing: none lies beside the weights
  tensor::DType dtype = tensor::DType::kF32;      // that most of its weights are stored in
};

// By the names that a configuration gives them.
using SourceModels = std::map<std::string, SourceModel>;

// A Hugging Face directory or a GGUF file; the files stay mapped while the reader lives. What
// model::ModelFiles::Open and the tokenizers say, the path in front. kUnsupported: a packed model.
Result<SourceModel> OpenSourceModel(const std::string& path, const Limits& limits = {});

// All of these; the error of the first that cannot be opened.
Result<SourceModels> OpenSourceModels(const std::vector<std::string>& paths,
                                      const Limits& limits = {});

// The tokenizer of a directory or GGUF file, weights or not. Nothing: there is none.
Result<std::optional<text::Tokenizer>> FindTokenizer(const std::string& path,
                                                     const Limits& limits = {});

}  // namespace metier::merge
