// cli/console.h - where a verb reads and prints. Results only: progress and log go to stderr by
// themselves (base/progress.h, base/log.h).
#pragma once

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace metier::cli {

// What is printed is held back until Flush, so that a verb that fails half-way leaves stdout empty.
class Console {
 public:
  enum class Format { kText, kJson };
  Console(std::FILE* in, std::FILE* out) : in_(in), out_(out) {}

  // Chosen by --json, before the verb runs.
  void SetFormat(Format format) { format_ = format; }
  bool json() const { return format_ == Format::kJson; }

  void Print(std::string_view text) { held_ += text; }
  void PrintJson(const Json& document) { held_ += DumpPretty(document); }

  // The document with --json; without, its keys and values, one a line.
  void PrintFacts(const Json& document);

  // Writes what is held. kIo: the reader is gone or the disk is full.
  Status Flush();

  // Everything up to the end of the input. kResourceExhausted: more than max_bytes.
  Result<std::string> ReadAll(std::uint64_t max_bytes);
  // The next line without its end; nothing at the end of the input.
  Result<std::optional<std::string>> ReadLine(std::uint64_t max_bytes);
  bool input_is_terminal() const;

 private:
  std::FILE* in_;
  std::FILE* out_;
  Format format_ = Format::kText;
  std::string held_;
};

}  // namespace metier::cli
