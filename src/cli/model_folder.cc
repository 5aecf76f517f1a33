#include "cli/model_folder.h"

#include <fmt/format.h>

#include <filesystem>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "format/folder_files.h"

namespace metier::cli {

namespace fs = std::filesystem;

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

Result<Json> CopyTokenizerFiles(const std::string& from, const std::string& to) {
  Json copied = Json::array();
  for (const std::string_view name : format::kCopiedTokenizerFiles) {
    const std::string source = fmt::format("{}/{}", from, name);
    std::error_code ignored;
    if (!fs::exists(source, ignored)) continue;
    METIER_TRY(CopyFile(source, fmt::format("{}/{}", to, name)));
    copied.push_back(name);
  }
  return copied;
}

}  // namespace metier::cli
