// train/corpus.h - the token files that a run reads, as one: their examples are numbered through,
// file after file.
//
// Files (format/token_file.h) stay mapped: only the pages of the examples at hand are in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "format/token_file.h"

namespace metier::train {

class Corpus {
 public:
  // What a run takes its examples for.
  enum class Use {
    kTexts,    // without judgements
    kAnswers,  // each judged
    kPairs,    // two and two, a good answer and a bad one to the same prompt
  };

  // Token files for a model of this vocabulary. kDataCorrupt: an id that the model does not have; a
  // file that is not of this use, with what it may be used for.
  static Result<Corpus> Open(const std::vector<std::string>& paths, std::int64_t vocab,
                             Use use = Use::kTexts);

  std::int64_t vocab() const { return vocab_; }
  std::size_t sources() const { return files_.size(); }
  const std::string& path(std::size_t source) const { return paths_[source]; }
  // The source's examples are [First(source), First(source + 1)).
  std::int64_t First(std::size_t source) const { return firsts_[source]; }
  std::int64_t examples(std::size_t source) const { return files_[source].examples(); }
  std::int64_t tokens(std::size_t source) const { return files_[source].tokens(); }
  // Examples that stay together, in order: 2 of pairs, else 1.
  std::int64_t group() const { return group_; }
  std::int64_t examples() const { return firsts_.back(); }

  // Of one example. Requires 0 <= example < examples().
  std::size_t SourceOf(std::int64_t example) const;
  std::span<const std::int32_t> Ids(std::int64_t example) const;
  std::span<const std::uint8_t> Loss(std::int64_t example) const;
  format::Judgement Judgement(std::int64_t example) const;
  // Tokens before the first that carries loss. Requires one.
  std::int64_t Prompt(std::int64_t example) const;
  std::int64_t Length(std::int64_t example) const {
    return static_cast<std::int64_t>(Ids(example).size());
  }

 private:
  std::vector<std::string> paths_;
  std::vector<format::TokenFile> files_;
  std::vector<std::int64_t> firsts_ = {0};
  std::int64_t vocab_ = 0;
  std::int64_t group_ = 1;
};

}  // namespace metier::train
