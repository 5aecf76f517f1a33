#include "cli/model_folder.h"

#include <fmt/format.h>

#include <filesystem>
#include <string_view>
#include <utility>
#include <variant>

#include "base/file.h"
#include "format/folder_files.h"
#include "format/gguf.h"

namespace metier::cli {

namespace fs = std::filesystem;

namespace {

// What a GGUF file holds of the files of a directory.
Result<Json> ExtractTokenizer(const std::string& path, const std::string& to) {
  METIER_ASSIGN(const format::GgufFile file, format::GgufFile::Open(path));
  Json written = Json::array();
  const auto extract = [&](const char* key, const char* name) -> Status {
    const format::GgufValue* value = file.Metadata(key);
    const std::string* text = value == nullptr ? nullptr : std::get_if<std::string>(value);
    if (text == nullptr) return Ok();
    METIER_TRY(WriteFileAtomic(fmt::format("{}/{}", to, name), *text));
    written.push_back(name);
    return Ok();
  };
  METIER_TRY(extract("tokenizer.huggingface.json", "tokenizer.json"));
  METIER_TRY(extract("tokenizer.chat_template", "chat_template.jinja"));
  return written;
}

}  // namespace

Result<std::string> NewPath(std::string out) {
  while (out.size() > 1 && out.back() == '/') out.pop_back();
  std::error_code ignored;
  if (!fs::exists(out, ignored)) return out;
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("'{}' is there already: remove it, or choose another name", out));
}

FolderInTheMaking::FolderInTheMaking(std::string out)
    : out_(std::move(out)), part_(out_ + ".part") {
  std::error_code ignored;
  fs::remove_all(part_, ignored);
}

FolderInTheMaking::~FolderInTheMaking() {
  std::error_code ignored;
  fs::remove_all(part_, ignored);
}

Status FolderInTheMaking::Finish() { return ReplaceDirectory(part_, out_); }

Result<Json> CopyTokenizer(const std::string& model, const std::string& to) {
  std::error_code ignored;
  if (!fs::is_directory(model, ignored)) return ExtractTokenizer(model, to);
  Json copied = Json::array();
  for (const std::string_view name : format::kCopiedTokenizerFiles) {
    const std::string source = fmt::format("{}/{}", model, name);
    if (!fs::exists(source, ignored)) continue;
    METIER_TRY(CopyFile(source, fmt::format("{}/{}", to, name)));
    copied.push_back(name);
  }
  return copied;
}

}  // namespace metier::cli
