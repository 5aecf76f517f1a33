#include "merge/source_model.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "format/gguf.h"
#include "model/gguf_vocab.h"

namespace metier::merge {
namespace {

Result<text::Tokenizer> LoadAnyTokenizer(const std::string& path, const Limits& limits) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return text::LoadTokenizer(path, limits);
  METIER_ASSIGN(const format::GgufFile file, format::GgufFile::Open(path, limits));
  return model::LoadGgufTokenizer(file, limits);
}

}  // namespace

Result<std::optional<text::Tokenizer>> FindTokenizer(const std::string& path,
                                                     const Limits& limits) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored))
    return Error(ErrorCode::kNotFound, fmt::format("'{}': there is nothing of that name", path));
  auto loaded = LoadAnyTokenizer(path, limits);
  if (loaded.ok()) return std::optional<text::Tokenizer>(std::move(loaded).value());
  if (loaded.error().code() == ErrorCode::kNotFound) return std::optional<text::Tokenizer>();
  return std::move(loaded).error().With(fmt::format("tokenizer of '{}'", path));
}

Result<SourceModel> OpenSourceModel(const std::string& path, const Limits& limits) {
  METIER_ASSIGN(const model::ModelFiles files, model::ModelFiles::Open(path, limits));
  if (!files.packed_layout().empty()) {
    return Error(
        ErrorCode::kUnsupported,
        fmt::format("'{}' is packed for the engine, which can run it and nothing else; use "
                    "the model from which it was packed",
                    path));
  }
  SourceModel source{.spec = files.spec(),
                     .read = [files](const std::string& name) { return files.LoadF32(name); },
                     .dtype = model::CommonType(files)};
  METIER_ASSIGN(source.tokenizer, FindTokenizer(path, limits));
  return source;
}

Result<SourceModels> OpenSourceModels(const std::vector<std::string>& paths, const Limits& limits) {
  SourceModels models;
  for (const std::string& path : paths) {
    METIER_ASSIGN(SourceModel opened, OpenSourceModel(path, limits));
    models.emplace(path, std::move(opened));
  }
  return models;
}

}  // namespace metier::merge
