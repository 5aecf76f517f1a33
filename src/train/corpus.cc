#include "train/corpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace metier::train {
namespace {

Status CheckIds(const format::TokenFile& file, const std::string& path, std::int64_t vocab) {
  const auto ids = file.ids();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= vocab) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("token file '{}': token {} is id {}, the model's vocabulary has {}; "
                               "was the file made with another tokenizer?",
                               path, i, ids[i], vocab));
    }
  }
  return Ok();
}

}  // namespace

Result<Corpus> Corpus::Open(const std::vector<std::string>& paths, std::int64_t vocab) {
  Corpus corpus;
  for (const std::string& path : paths) {
    METIER_ASSIGN(format::TokenFile file, format::TokenFile::Open(path));
    METIER_TRY(CheckIds(file, path, vocab));
    corpus.firsts_.push_back(corpus.firsts_.back() + file.examples());
    corpus.files_.push_back(std::move(file));
    corpus.paths_.push_back(path);
  }
  return corpus;
}

std::size_t Corpus::SourceOf(std::int64_t example) const {
  const auto behind = std::upper_bound(firsts_.begin(), firsts_.end(), example);
  return static_cast<std::size_t>(behind - firsts_.begin()) - 1;
}

std::span<const std::int32_t> Corpus::Ids(std::int64_t example) const {
  const std::size_t source = SourceOf(example);
  return files_[source].Ids(example - firsts_[source]);
}

std::span<const std::uint8_t> Corpus::Loss(std::int64_t example) const {
  const std::size_t source = SourceOf(example);
  return files_[source].Loss(example - firsts_[source]);
}

}  // namespace metier::train
