// cli/model_folder.h - folders of models that verbs write: in full or not at all.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"

namespace metier::cli {

// `out` without slashes at its end. kInvalidArgument: it is there already.
Result<std::string> NewPath(std::string out);

// A new folder beside `out` that becomes `out` when it is complete, or goes.
class FolderInTheMaking {
 public:
  explicit FolderInTheMaking(std::string out);
  ~FolderInTheMaking();
  FolderInTheMaking(const FolderInTheMaking&) = delete;
  FolderInTheMaking& operator=(const FolderInTheMaking&) = delete;

  const std::string& path() const { return part_; }
  Status Finish();

 private:
  std::string out_;
  std::string part_;
};

// Copies a model's tokenizer into a folder: a Hugging Face directory's tokenizer files and
// templates, those that are there; of a GGUF file the tokenizer.huggingface.json and the template
// inside. Their names.
Result<Json> CopyTokenizer(const std::string& model, const std::string& to);

}  // namespace metier::cli
