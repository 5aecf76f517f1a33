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
#include "format/folder_files.h"
#include "format/gguf.h"

namespace metier::specialist {

namespace fs = std::filesystem;

namespace {

// Lengths in front, so that no two lists of values are written alike.
struct HashValue {
  Sha256& hash;

  void operator()(const std::string& text) const {
    hash.Add(fmt::format("{}:", text.size()));
    hash.Add(text);
  }
  template <class Element>
  void operator()(const std::vector<Element>& list) const {
    hash.Add(fmt::format("[{}:", list.size()));
    for (const auto& element : list) (*this)(static_cast<const Element&>(element));
  }
  template <class Number>
  void operator()(Number number) const {
    hash.Add(fmt::format("{};", number));
  }
};

Result<std::string> HashGgufTokenizer(const std::string& path) {
  METIER_ASSIGN(const format::GgufFile file, format::GgufFile::Open(path));
  Sha256 hash;
  bool any = false;
  for (const auto& [key, value] : file.metadata()) {
    if (!key.starts_with("tokenizer.")) continue;
    any = true;
    HashValue{hash}(key);
    std::visit(HashValue{hash}, value);
  }
  if (any) return std::move(hash).Hex();
  return Error(ErrorCode::kNotFound, fmt::format("'{}' holds no tokenizer", path));
}

}  // namespace

Result<std::string> HashTokenizer(const std::string& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return HashGgufTokenizer(path);
  std::string list;
  for (const std::string_view name : format::kTokenizerFiles) {
    const std::string file = fmt::format("{}/{}", path, name);
    if (!fs::exists(file, ignored)) continue;
    METIER_ASSIGN(const std::string hash, Sha256OfFile(file));
    list += fmt::format("{} {}\n", hash, name);
  }
  if (!list.empty()) return Sha256Hex(list);
  return Error(ErrorCode::kNotFound, fmt::format("'{}' holds no tokenizer files", path));
}

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
