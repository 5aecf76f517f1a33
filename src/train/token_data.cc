#include "train/token_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/rng.h"

namespace metier::train {
namespace {

std::int64_t LengthOf(const TokenFile& file, std::int64_t example) {
  return static_cast<std::int64_t>(file.Ids(example).size());
}

}  // namespace

Result<TokenFile> OpenTokens(const std::string& path, std::int64_t vocab) {
  METIER_ASSIGN(TokenFile file, TokenFile::Open(path));
  const auto ids = file.ids();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= vocab) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("token file '{}': token {} is id {}, the model's vocabulary has {}; "
                               "was the file made with another tokenizer?",
                               path, i, ids[i], vocab));
    }
  }
  return file;
}

Permutation::Permutation(std::int64_t count, std::uint64_t seed, std::uint64_t epoch)
    : count_(static_cast<std::uint64_t>(std::max<std::int64_t>(count, 1))) {
  half_bits_ = (static_cast<int>(std::bit_width(count_ - 1)) + 1) / 2;
  Rng rng(seed, epoch);
  for (std::uint64_t& key : keys_) key = rng.Next();
}

std::uint64_t Permutation::Once(std::uint64_t value) const {
  const std::uint64_t mask = (1ULL << half_bits_) - 1;
  std::uint64_t left = value >> half_bits_;
  std::uint64_t right = value & mask;
  for (const std::uint64_t key : keys_) {
    std::uint64_t mixed = (right + key) * 0x9e3779b97f4a7c15ULL;
    mixed = (mixed ^ (mixed >> 29)) * 0xbf58476d1ce4e5b9ULL;
    mixed ^= mixed >> 32;
    const std::uint64_t next = left ^ (mixed & mask);
    left = right;
    right = next;
  }
  return (left << half_bits_) | right;
}

std::int64_t Permutation::At(std::int64_t i) const {
  if (half_bits_ == 0) return i;
  auto value = static_cast<std::uint64_t>(i);
  do {
    value = Once(value);
  } while (value >= count_);
  return static_cast<std::int64_t>(value);
}

bool Predicted(const TokenFile& file, const PackingOptions& options, const Piece& piece,
               std::int64_t i) {
  if (i == 0) return false;
  return options.all_tokens ||
         file.Loss(piece.example)[static_cast<std::size_t>(piece.first + i)] != 0;
}

std::int64_t Predictions(const TokenFile& file, const PackingOptions& options, const Piece& piece) {
  if (options.all_tokens) return std::max<std::int64_t>(piece.tokens - 1, 0);
  std::int64_t count = 0;
  for (std::int64_t i = 1; i < piece.tokens; ++i)
    count += Predicted(file, options, piece, i) ? 1 : 0;
  return count;
}

bool PackReader::NextPiece(Piece& piece) {
  while (position_ < file_.examples()) {
    const std::int64_t example = order_.At(position_);
    const std::int64_t left = LengthOf(file_, example) - offset_;
    piece = {example, offset_, std::min(left, options_.max_tokens)};
    const bool more = left > options_.max_tokens && options_.long_examples == LongExamples::kSplit;
    offset_ = more ? offset_ + options_.max_tokens : 0;
    if (!more) ++position_;
    if (Predictions(file_, options_, piece) > 0) return true;
  }
  return false;
}

Pack PackReader::Next() {
  Pack pack;
  std::int64_t room = options_.max_tokens;
  while (true) {
    if (!held_ && !NextPiece(piece_)) return pack;
    held_ = false;
    if (!pack.empty() && (!options_.packing || piece_.tokens > room)) {
      held_ = true;
      return pack;
    }
    room -= piece_.tokens;
    pack.push_back(piece_);
  }
}

Result<PackingCounts> CountPacks(const TokenFile& file, const PackingOptions& options,
                                 std::uint64_t seed, std::uint64_t epoch) {
  PackingCounts counts;
  std::int64_t all_pieces = 0;
  for (std::int64_t example = 0; example < file.examples(); ++example) {
    const std::int64_t length = LengthOf(file, example);
    const bool fits = length <= options.max_tokens;
    if (!fits && options.long_examples == LongExamples::kError) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("example {} has {} tokens, max_seq_len is {}: raise it, or say "
                               "`long_examples: truncate` or `split`",
                               example, length, options.max_tokens));
    }
    const bool split = options.long_examples == LongExamples::kSplit;
    all_pieces += !fits && split ? (length + options.max_tokens - 1) / options.max_tokens : 1;
    if (!fits && split) ++counts.split_examples;
    if (!fits && !split) {
      ++counts.truncated_examples;
      counts.truncated_tokens += length - options.max_tokens;
    }
  }
  PackReader reader(file, options, seed, epoch);
  for (Pack pack = reader.Next(); !pack.empty(); pack = reader.Next()) {
    ++counts.packs;
    for (const Piece& piece : pack) {
      ++counts.pieces;
      counts.tokens += piece.tokens;
      counts.predictions += Predictions(file, options, piece);
    }
  }
  counts.silent_pieces = all_pieces - counts.pieces;
  if (counts.packs == 0) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("of {} examples none has a token to predict: there is nothing to "
                             "learn from",
                             file.examples()));
  }
  return counts;
}

}  // namespace metier::train
