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

Status CheckUse(const format::TokenFile& file, const std::string& path, Corpus::Use use) {
  const auto refused = [&](const char* found, const char* remedy) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("token file '{}' has {}; {}", path, found, remedy));
  };
  if (use == Corpus::Use::kTexts) {
    if (!file.has_judgements()) return Ok();
    return refused("answers that are judged, bad ones among them, which this stage would learn",
                   "say `stage: dpo` or `orpo` for pairs, `kto` for others");
  }
  if (use == Corpus::Use::kPairs) {
    if (file.paired()) return Ok();
    return refused("examples that are no pairs of a better and a worse answer",
                   "stages dpo and orpo need those; `metier data build` makes them of rows with "
                   "chosen and rejected");
  }
  for (std::int64_t example = 0; example < file.examples(); ++example) {
    if (file.Judgement(example) != format::Judgement::kNone) continue;
    return refused("examples without a judgement",
                   "stage kto needs one of each; `metier data build` makes them of rows with a "
                   "label");
  }
  return Ok();
}

}  // namespace

Result<Corpus> Corpus::Open(const std::vector<std::string>& paths, std::int64_t vocab, Use use) {
  Corpus corpus;
  corpus.vocab_ = vocab;
  corpus.group_ = use == Use::kPairs ? 2 : 1;
  for (const std::string& path : paths) {
    METIER_ASSIGN(format::TokenFile file, format::TokenFile::Open(path));
    METIER_TRY(CheckIds(file, path, vocab));
    METIER_TRY(CheckUse(file, path, use));
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

format::Judgement Corpus::Judgement(std::int64_t example) const {
  const std::size_t source = SourceOf(example);
  return files_[source].Judgement(example - firsts_[source]);
}

std::int64_t Corpus::Prompt(std::int64_t example) const {
  const auto loss = Loss(example);
  return std::ranges::find(loss, 1) - loss.begin();
}

}  // namespace metier::train
