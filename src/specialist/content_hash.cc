#include "specialist/content_hash.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "base/file.h"
#include "base/hash.h"

namespace metier::specialist {

namespace fs = std::filesystem;

ContentHasher::ContentHasher(std::string memory) : memory_(std::move(memory)) {
  if (memory_.empty()) return;
  const auto document = ReadJsonFile(memory_);
  if (!document.ok() || !document->is_object()) return;  // only a memory: without it we read again
  for (const auto& [identity, hash] : document->items()) {
    if (hash.is_string()) known_[identity] = hash.get<std::string>();
  }
}

Result<std::string> ContentHasher::OfFile(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    return Error(errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
                 fmt::format("'{}': {}", path, std::strerror(errno)));
  }
  const std::string identity = fmt::format("{}:{}:{}:{}.{:09}", info.st_dev, info.st_ino,
                                           info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
  if (const auto found = known_.find(identity); found != known_.end()) return found->second;
  METIER_ASSIGN(std::string hash, Sha256OfFile(path));
  known_[identity] = hash;
  return hash;
}

Result<std::string> ContentHasher::OfPath(const std::string& path) {
  std::error_code failed;
  if (!fs::is_directory(path, failed)) return OfFile(path);
  std::vector<std::string> names;
  for (fs::recursive_directory_iterator
           it(path, fs::directory_options::follow_directory_symlink, failed),
       end;
       !failed && it != end; it.increment(failed)) {
    if (it->is_regular_file(failed)) names.push_back(fs::relative(it->path(), path).string());
  }
  if (failed) return Error(ErrorCode::kIo, fmt::format("list '{}': {}", path, failed.message()));
  std::sort(names.begin(), names.end());
  std::string list;
  for (const std::string& name : names) {
    METIER_ASSIGN(const std::string hash, OfFile(path + "/" + name));
    list += fmt::format("{} {}\n", hash, name);
  }
  return Sha256Hex(list);
}

Status ContentHasher::Save() const {
  if (memory_.empty()) return Ok();
  Json document = Json::object();
  auto& entries = document.get_ref<Json::object_t&>();
  for (const auto& [identity, hash] : known_)
    entries.Json::object_t::Container::emplace_back(identity, hash);
  return WriteFileAtomic(memory_, DumpPretty(document));
}

}  // namespace metier::specialist
