#include "train/token_data.h"

#include <fmt/format.h>

#include <algorithm>

namespace metier::train {
namespace {

constexpr std::uint64_t kPieceSeed = 0x706965636573ULL;  // apart from the order's streams

// Tokens that are read of an example at most; 0: all of them.
std::int64_t LongestOf(const PackingOptions& options) {
  return options.long_examples == LongExamples::kTruncate ? options.max_tokens : 0;
}

std::string NameOf(const Corpus& corpus, std::int64_t example) {
  const std::size_t source = corpus.SourceOf(example);
  const std::int64_t number = example - corpus.First(source);
  if (corpus.sources() == 1) return fmt::format("example {}", number);
  return fmt::format("example {} of '{}'", number, corpus.path(source));
}

Status CountLong(const Corpus& corpus, const PackingOptions& options, std::int64_t example,
                 PackingCounts& counts) {
  const std::int64_t length = corpus.Length(example);
  if (length <= options.max_tokens) return Ok();
  switch (options.long_examples) {
    case LongExamples::kError:
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("{} has {} tokens, max_seq_len is {}: raise it, or say "
                               "`long_examples: truncate` or `split`",
                               NameOf(corpus, example), length, options.max_tokens));
    case LongExamples::kSplit: ++counts.split_examples; break;
    case LongExamples::kTruncate:
      ++counts.truncated_examples;
      counts.truncated_tokens += length - options.max_tokens;
      break;
  }
  return Ok();
}

}  // namespace

std::optional<std::int32_t> HiddenAs(const Corpus& corpus, const PackingOptions& options,
                                     const Piece& piece, std::int64_t i) {
  const auto at = static_cast<std::size_t>(piece.first + i);
  if (corpus.Loss(piece.example)[at] == 0) return std::nullopt;
  return Hide(*options.masking, corpus.Ids(piece.example)[at], corpus.vocab(), piece.key, i);
}

bool Predicted(const Corpus& corpus, const PackingOptions& options, const Piece& piece,
               std::int64_t i) {
  if (options.masking) return HiddenAs(corpus, options, piece, i).has_value();
  if (i == 0) return false;
  return options.all_tokens ||
         corpus.Loss(piece.example)[static_cast<std::size_t>(piece.first + i)] != 0;
}

std::int64_t Predictions(const Corpus& corpus, const PackingOptions& options, const Piece& piece) {
  if (options.all_tokens) return std::max<std::int64_t>(piece.tokens - 1, 0);
  std::int64_t count = 0;
  if (options.masking) {
    for (std::int64_t i = 0; i < piece.tokens; ++i)
      count += HiddenAs(corpus, options, piece, i).has_value() ? 1 : 0;
    return count;
  }
  const auto loss = corpus.Loss(piece.example);
  for (std::int64_t i = 1; i < piece.tokens; ++i)
    count += loss[static_cast<std::size_t>(piece.first + i)] != 0 ? 1 : 0;
  return count;
}

PackReader::PackReader(const Corpus& corpus, const PackingOptions& options, std::uint64_t seed,
                       std::uint64_t epoch)
    : corpus_(corpus),
      options_(options),
      keys_(seed ^ kPieceSeed, epoch),
      order_(MakeOrder(corpus, options.mix, LongestOf(options), seed, epoch)) {}

bool PackReader::NextPiece(Piece& piece) {
  while (true) {
    if (offset_ == 0) {
      const std::optional<std::int64_t> next = order_->Next();
      if (!next) return false;
      example_ = *next;
    }
    const std::int64_t left = corpus_.Length(example_) - offset_;
    piece = {example_, offset_, std::min(left, options_.max_tokens), keys_.Next()};
    const bool more = left > options_.max_tokens && options_.long_examples == LongExamples::kSplit;
    offset_ = more ? offset_ + options_.max_tokens : 0;
    if (Predictions(corpus_, options_, piece) > 0) return true;
    ++silent_;
  }
}

bool PackReader::NextGroup() {
  if (corpus_.group() == 1) {
    Piece piece;
    if (!NextPiece(piece)) return false;
    held_ = {piece};
    return true;
  }
  while (true) {
    const std::optional<std::int64_t> first = order_->Next();
    if (!first) return false;
    bool silent = false;
    held_.clear();
    for (std::int64_t example = *first; example < *first + corpus_.group(); ++example) {
      held_.push_back({example, 0, std::min(corpus_.Length(example), options_.max_tokens)});
      silent = silent || Predictions(corpus_, options_, held_.back()) == 0;
    }
    if (!silent) return true;
    silent_ += corpus_.group();
  }
}

Pack PackReader::Next() {
  Pack pack;
  std::int64_t room = options_.max_tokens;
  while (true) {
    if (held_.empty() && !NextGroup()) return pack;
    std::int64_t tokens = 0;
    for (const Piece& piece : held_) tokens += piece.tokens;
    if (!pack.empty() && (!options_.packing || tokens > room)) return pack;
    room -= tokens;
    pack.insert(pack.end(), held_.begin(), held_.end());
    held_.clear();
  }
}

Result<PackingCounts> CountPacks(const Corpus& corpus, const PackingOptions& options,
                                 std::uint64_t seed, std::uint64_t epoch) {
  PackingCounts counts;
  counts.source_tokens.resize(corpus.sources());
  // What is too long is said whether this epoch reads it or not.
  if (options.long_examples == LongExamples::kError) {
    for (std::int64_t example = 0; example < corpus.examples(); ++example)
      METIER_TRY(CountLong(corpus, options, example, counts));
  }
  PackReader reader(corpus, options, seed, epoch);
  for (Pack pack = reader.Next(); !pack.empty(); pack = reader.Next()) {
    ++counts.packs;
    for (const Piece& piece : pack) {
      if (piece.first == 0) METIER_TRY(CountLong(corpus, options, piece.example, counts));
      ++counts.pieces;
      counts.tokens += piece.tokens;
      counts.source_tokens[corpus.SourceOf(piece.example)] += piece.tokens;
      counts.predictions += Predictions(corpus, options, piece);
    }
  }
  counts.silent_pieces = reader.silent_pieces();
  if (counts.packs == 0) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("of {} examples none has a token to predict: there is nothing to "
                             "learn from",
                             corpus.examples()));
  }
  return counts;
}

}  // namespace metier::train
