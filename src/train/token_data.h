// train/token_data.h - the order in which a token file's examples are read, and how they are
// packed.
//
// The file (format/token_file.h) stays mapped: only the pages of the examples at hand are in
// memory, and the order of an epoch is computed, not stored.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "format/token_file.h"

namespace metier::train {

using format::TokenFile;

// A token file for a model of this vocabulary. kDataCorrupt: an id that the model does not have.
Result<TokenFile> OpenTokens(const std::string& path, std::int64_t vocab);

// A permutation of [0, count) without a table: a Feistel network over the next even power of two,
// walked until it lands inside (Black and Rogaway 2002). The same on every machine for a (seed,
// epoch).
class Permutation {
 public:
  Permutation(std::int64_t count, std::uint64_t seed, std::uint64_t epoch);
  std::int64_t At(std::int64_t i) const;

 private:
  std::uint64_t Once(std::uint64_t value) const;

  std::uint64_t count_;
  int half_bits_ = 0;
  std::uint64_t keys_[4] = {};
};

enum class LongExamples { kSplit, kTruncate, kError };

struct PackingOptions {
  std::int64_t max_tokens = 1024;  // of a sequence, and of a pack
  bool packing = true;             // false: one sequence a pack
  bool all_tokens = false;         // pre-training: loss on every token, whatever the file says
  LongExamples long_examples = LongExamples::kError;
};

// A piece of an example: what the network sees as one sequence.
struct Piece {
  std::int64_t example = 0;
  std::int64_t first = 0;
  std::int64_t tokens = 0;
};
using Pack = std::vector<Piece>;

// The packs of one epoch, in order: examples in the epoch's permutation, each pack filled with
// whole pieces until the next does not fit. Pieces without a token to predict are left out and
// counted.
class PackReader {
 public:
  PackReader(const TokenFile& file, const PackingOptions& options, std::uint64_t seed,
             std::uint64_t epoch)
      : file_(file), options_(options), order_(file.examples(), seed, epoch) {}

  // Empty at the end of the epoch.
  Pack Next();

 private:
  bool NextPiece(Piece& piece);

  const TokenFile& file_;
  PackingOptions options_;
  Permutation order_;
  std::int64_t position_ = 0;  // in the epoch
  std::int64_t offset_ = 0;    // in the example
  bool held_ = false;          // a piece that did not fit into the last pack
  Piece piece_;
};

// What a pass over the data comes to.
struct PackingCounts {
  std::int64_t packs = 0;
  std::int64_t pieces = 0;
  std::int64_t tokens = 0;
  std::int64_t predictions = 0;
  std::int64_t truncated_examples = 0;
  std::int64_t truncated_tokens = 0;
  std::int64_t split_examples = 0;
  std::int64_t silent_pieces = 0;  // nothing to predict
};

// kDataCorrupt: an example is too long and the options say error; no token at all carries loss.
Result<PackingCounts> CountPacks(const TokenFile& file, const PackingOptions& options,
                                 std::uint64_t seed, std::uint64_t epoch);

// Whether the prediction of token `i` of the piece counts (i > 0: the first has no past).
bool Predicted(const TokenFile& file, const PackingOptions& options, const Piece& piece,
               std::int64_t i);
std::int64_t Predictions(const TokenFile& file, const PackingOptions& options, const Piece& piece);

}  // namespace metier::train
