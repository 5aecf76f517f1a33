#include "proof/folder_resolver.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "base/utf8.h"

namespace metier::proof {
namespace {

Result<std::string> ReadBelow(const std::filesystem::path& folder, const std::string& name,
                              std::uint64_t max_bytes) {
  const std::filesystem::path asked(name);
  if (asked.is_absolute() || std::ranges::find(asked, "..") != asked.end()) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("found the file name '{}', expected one of a file below the folder of "
                             "the database, without '..'",
                             Excerpt(name)));
  }
  std::error_code failed;
  const std::filesystem::path root = std::filesystem::canonical(folder, failed);
  const std::filesystem::path real =
      failed ? std::filesystem::path() : std::filesystem::canonical(root / asked, failed);
  const bool below = !failed && std::ranges::mismatch(root, real).in1 == root.end();
  if (!below || !std::filesystem::is_regular_file(real, failed)) {
    return Error(ErrorCode::kNotFound, fmt::format("'{}' is no file of the folder '{}'",
                                                   Excerpt(name), Excerpt(folder.string())));
  }
  return ReadFile(real.string(), max_bytes);
}

}  // namespace

IncludeResolver FilesOfFolder(std::string folder, std::uint64_t max_bytes) {
  return [folder = std::filesystem::path(std::move(folder)), max_bytes](const std::string& name) {
    return ReadBelow(folder, name, max_bytes);
  };
}

}  // namespace metier::proof
