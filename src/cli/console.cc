#include "cli/console.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace metier::cli {

void Console::PrintFacts(const Json& document) {
  if (json()) {
    PrintJson(document);
    return;
  }
  std::size_t width = 0;
  for (const auto& [key, value] : document.items()) width = std::max(width, key.size());
  for (const auto& [key, value] : document.items()) {
    if (value.is_null()) continue;
    Print(fmt::format("{:<{}}  {}\n", key, width,
                      value.is_string() ? value.get<std::string>() : DumpPython(value)));
  }
}

Status Console::Flush() {
  const std::string text = std::move(held_);
  held_.clear();
  const bool written = std::fwrite(text.data(), 1, text.size(), out_) == text.size();
  if (!written || std::fflush(out_) != 0) {
    return Error(ErrorCode::kIo, fmt::format("standard output: {}", std::strerror(errno)));
  }
  return Ok();
}

Result<std::string> Console::ReadAll(std::uint64_t max_bytes) {
  std::string text;
  char block[1 << 16];
  while (true) {
    const std::size_t read = std::fread(block, 1, sizeof block, in_);
    text.append(block, read);
    if (text.size() > max_bytes) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("standard input: more than {} bytes", max_bytes));
    }
    if (read == 0) break;
  }
  if (std::ferror(in_) != 0) {
    return Error(ErrorCode::kIo, fmt::format("standard input: {}", std::strerror(errno)));
  }
  return text;
}

Result<std::optional<std::string>> Console::ReadLine(std::uint64_t max_bytes) {
  std::string line;
  int c = 0;
  while ((c = std::fgetc(in_)) != EOF && c != '\n') {
    line += static_cast<char>(c);
    if (line.size() > max_bytes) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("standard input: a line of more than {} bytes", max_bytes));
    }
  }
  if (c == EOF && std::ferror(in_) != 0) {
    return Error(ErrorCode::kIo, fmt::format("standard input: {}", std::strerror(errno)));
  }
  if (c == EOF && line.empty()) return std::optional<std::string>();
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return std::optional<std::string>(std::move(line));
}

bool Console::input_is_terminal() const { return isatty(fileno(in_)) == 1; }

}  // namespace metier::cli
