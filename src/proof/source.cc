#include "proof/source.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "base/utf8.h"

namespace metier::proof {
namespace {

enum class Byte : std::uint8_t { kForeign, kSpace, kPrintable };

// The 94 printable characters of ASCII, and the five that separate tokens.
constexpr std::array<Byte, 256> BytesOfTheLanguage() {
  std::array<Byte, 256> bytes = {};
  for (std::size_t i = 33; i <= 126; ++i) bytes[i] = Byte::kPrintable;
  for (const char space : {' ', '\t', '\r', '\n', '\f'})
    bytes[static_cast<std::uint8_t>(space)] = Byte::kSpace;
  return bytes;
}

constexpr std::array<Byte, 256> kByteKinds = BytesOfTheLanguage();

Byte KindOfByte(char byte) { return kByteKinds[static_cast<std::uint8_t>(byte)]; }

}  // namespace

Result<Source> Source::Create(std::string name, std::string_view text, IncludeResolver resolver,
                              const SourceLimits& limits) {
  Source source(std::move(resolver), limits);
  METIER_TRY(source.Open(std::move(name), text));
  return source;
}

std::string Source::Where(Place place) const {
  return fmt::format("{}:{}", Excerpt(names_[static_cast<std::size_t>(place.file)]), place.line);
}

Status Source::Open(std::string name, std::string_view text) {
  if (text.size() > limits_.max_file_bytes) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("'{}' has {} bytes, limit {}", Excerpt(name), text.size(),
                             limits_.max_file_bytes));
  }
  total_bytes_ += text.size();
  if (total_bytes_ > limits_.max_total_bytes) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("with '{}' the files have {} bytes together, limit {}", Excerpt(name),
                             total_bytes_, limits_.max_total_bytes));
  }
  begun_.insert(name);
  open_.push_back({.text = text, .place = {.file = static_cast<std::int32_t>(names_.size())}});
  names_.push_back(std::move(name));
  return Ok();
}

Status Source::Include(const std::string& name, Place place) {
  if (begun_.contains(name)) return Ok();
  const auto refused = [&](ErrorCode code, const std::string& why) {
    return Error(code, fmt::format("{}: include of '{}': {}", Where(place), Excerpt(name), why));
  };
  if (!resolver_) {
    return refused(ErrorCode::kUnsupported,
                   "this text may not include others (no resolver was given)");
  }
  if (static_cast<int>(open_.size()) > limits_.max_include_depth) {
    return refused(ErrorCode::kResourceExhausted,
                   fmt::format("nested deeper than {}, the limit", limits_.max_include_depth));
  }
  if (static_cast<int>(names_.size()) >= limits_.max_files) {
    return refused(ErrorCode::kResourceExhausted,
                   fmt::format("more than {} files, the limit", limits_.max_files));
  }
  auto text = resolver_(name);
  if (!text.ok()) {
    return std::move(text).error().With(
        fmt::format("{}: include of '{}'", Where(place), Excerpt(name)));
  }
  texts_.push_back(std::move(text).value());
  return Open(name, texts_.back());
}

void Source::SkipSpace(File& file) const {
  for (; file.at < file.text.size() && KindOfByte(file.text[file.at]) == Byte::kSpace; ++file.at)
    if (file.text[file.at] == '\n') ++file.place.line;
}

Result<std::string_view> Source::Cut(File& file) const {
  const std::size_t begin = file.at;
  while (file.at < file.text.size() && KindOfByte(file.text[file.at]) == Byte::kPrintable)
    ++file.at;
  const std::string_view token = file.text.substr(begin, file.at - begin);
  if (file.at < file.text.size() && KindOfByte(file.text[file.at]) == Byte::kForeign) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("{}: found the byte 0x{:02x}, expected printable ASCII or white space",
                             Where(file.place), static_cast<std::uint8_t>(file.text[file.at])));
  }
  if (token.size() > limits_.max_token_bytes) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("{}: a token of {} bytes, limit {}", Where(file.place), token.size(),
                             limits_.max_token_bytes));
  }
  return token;
}

// Comments do not nest: the two characters that begin one may not stand in one, nor those that end
// it as a part of something longer.
Status Source::SkipComment(File& file) const {
  const Place begin = file.place;
  for (;;) {
    SkipSpace(file);
    if (file.at == file.text.size()) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("{}: found the end of the file in the comment that begins here, "
                               "expected $)",
                               Where(begin)));
    }
    METIER_ASSIGN(const std::string_view token, Cut(file));
    if (token == "$)") return Ok();
    if (token.find("$(") != std::string_view::npos || token.find("$)") != std::string_view::npos) {
      return Error(
          ErrorCode::kDataCorrupt,
          fmt::format("{}: found '{}' in the comment that begins in line {}, expected neither "
                      "$( nor $) as a part of a word there",
                      Where(file.place), Excerpt(token), begin.line));
    }
  }
}

Result<Token> Source::Next() {
  for (;;) {
    File& file = open_.back();
    SkipSpace(file);
    if (file.at == file.text.size()) {
      if (open_.size() == 1) return Token{.place = file.place};
      open_.pop_back();
      continue;
    }
    METIER_ASSIGN(const std::string_view token, Cut(file));
    if (token == "$(") {
      METIER_TRY(SkipComment(file));
      continue;
    }
    if (token == "$)") {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("{}: found $) outside of a comment, expected $( before it",
                               Where(file.place)));
    }
    return Token{.text = token, .place = file.place};
  }
}

}  // namespace metier::proof
