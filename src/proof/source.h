// proof/source.h - Metamath text as tokens: character set, comments, files that include files.
//
// Tokens are read one after the other and never listed; they point into the texts, which live as
// long as this object (the first one is the caller's). What is wrong with a text is kDataCorrupt,
// what is more than a limit allows kResourceExhausted, both with the file and the line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace metier::proof {

// The text behind a name that stands between $[ and $]. An error is passed on to who reads.
using IncludeResolver = std::function<Result<std::string>(const std::string& name)>;

struct SourceLimits {
  std::uint64_t max_file_bytes = 128ULL << 20;   // set.mm, the largest there is, has about 50 MB
  std::uint64_t max_total_bytes = 256ULL << 20;  // of all files together
  std::uint64_t max_token_bytes = 64ULL << 10;   // a compressed proof may be one token
  int max_include_depth = 16;
  int max_files = 1024;
};

struct Place {
  std::int32_t file = 0;
  std::int32_t line = 1;
};

struct Token {
  std::string_view text;  // empty: nothing comes any more
  Place place;
};

class Source {
 public:
  // `name` stands for the text in messages, and an include of it is ignored like any other of a
  // file that has been read.
  static Result<Source> Create(std::string name, std::string_view text, IncludeResolver resolver,
                               const SourceLimits& limits);

  // The next token that is no part of a comment. An included file that ends is left without notice:
  // a token's place says which file it is of.
  Result<Token> Next();

  // Goes on with the text of that name, and behind its end with what follows here. A file that was
  // begun before is ignored, as the language says. kUnsupported: there is no resolver.
  Status Include(const std::string& name, Place place);

  // "set.mm:12".
  std::string Where(Place place) const;

 private:
  struct File {
    std::string_view text;
    std::size_t at = 0;
    Place place;
  };

  Source(IncludeResolver resolver, const SourceLimits& limits)
      : resolver_(std::move(resolver)), limits_(limits) {}

  Status Open(std::string name, std::string_view text);
  void SkipSpace(File& file) const;
  // The token at hand, a keyword of comments among them.
  Result<std::string_view> Cut(File& file) const;
  Status SkipComment(File& file) const;

  IncludeResolver resolver_;
  SourceLimits limits_;
  std::uint64_t total_bytes_ = 0;
  std::vector<std::string> names_;  // by number of the file
  std::set<std::string> begun_;
  std::deque<std::string> texts_;  // of included files; their places in memory stay
  std::vector<File> open_;         // each included by the one before
};

}  // namespace metier::proof
