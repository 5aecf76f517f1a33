#include "data/lines.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

namespace metier::data {
namespace {

constexpr std::size_t kBlock = 1 << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

Result<LineReader> LineReader::Open(const std::string& path, std::uint64_t max_line_bytes) {
  if (!std::filesystem::is_regular_file(path)) {
    return Error(
        ErrorCode::kNotFound,
        fmt::format("'{}': {}", path,
                    std::filesystem::exists(path) ? "not a regular file" : "no such file"));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error(ErrorCode::kIo, fmt::format("'{}' cannot be opened", path));
  return LineReader(std::move(file), path, max_line_bytes);
}

Result<bool> LineReader::Next(std::string& line) {
  line.clear();
  bool any = false;
  while (true) {
    if (at_ == block_.size()) {
      before_block_ += block_.size();
      block_.resize(kBlock);
      file_.read(block_.data(), static_cast<std::streamsize>(block_.size()));
      block_.resize(static_cast<std::size_t>(file_.gcount()));
      at_ = 0;
      if (file_.bad()) return Error(ErrorCode::kIo, fmt::format("'{}' cannot be read", path_));
      if (block_.empty()) break;
    }
    any = true;
    const std::size_t end = block_.find('\n', at_);
    const std::size_t stop = end == std::string::npos ? block_.size() : end;
    if (line.size() + (stop - at_) > max_line_bytes_) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("'{}' line {}: over {} bytes; is this a file of JSON lines?", path_,
                               number_ + 1, max_line_bytes_));
    }
    line.append(block_, at_, stop - at_);
    at_ = end == std::string::npos ? stop : stop + 1;
    if (end != std::string::npos) break;
  }
  if (!any) return false;
  if (!line.empty() && line.back() == '\r') line.pop_back();
  if (++number_ == 1 && line.starts_with(kByteOrderMark)) line.erase(0, kByteOrderMark.size());
  return true;
}

}  // namespace metier::data
