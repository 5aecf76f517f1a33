// train/token_data.h - examples in their order, cut into sequences and packed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/rng.h"
#include "train/corpus.h"
#include "train/example_order.h"
#include "train/masking.h"

namespace metier::train {

enum class LongExamples { kSplit, kTruncate, kError };

struct PackingOptions {
  std::int64_t max_tokens = 1024;       // of a sequence, and of a pack
  bool packing = true;                  // false: one sequence a pack
  bool all_tokens = false;              // pre-training: loss on every token, whatever the file says
  std::optional<Masking> masking = {};  // of the tokens with loss some are hidden and restored
  LongExamples long_examples = LongExamples::kError;
  MixOptions mix;
};

// A piece of an example: what the network sees as one sequence.
struct Piece {
  std::int64_t example = 0;
  std::int64_t first = 0;
  std::int64_t tokens = 0;
  std::uint64_t key = 0;  // of what is drawn for it
};
using Pack = std::vector<Piece>;

// The packs of one epoch, in order: examples as the mix says, each pack filled with whole pieces
// until the next does not fit. Pieces without a token to predict are left out and counted. The two
// of a pair are in one pack, and alone in it where they are longer together than a pack. Borrows
// the corpus.
class PackReader {
 public:
  PackReader(const Corpus& corpus, const PackingOptions& options, std::uint64_t seed,
             std::uint64_t epoch);

  // Empty at the end of the epoch.
  Pack Next();

  std::int64_t silent_pieces() const { return silent_; }  // so far

 private:
  bool NextPiece(Piece& piece);
  // The pieces that stay together, into held_; false at the end.
  bool NextGroup();

  const Corpus& corpus_;
  PackingOptions options_;
  Rng keys_;
  std::unique_ptr<ExampleOrder> order_;
  std::int64_t example_ = 0;  // being split; requires offset_ > 0
  std::int64_t offset_ = 0;   // in it
  std::vector<Piece> held_;   // what did not fit into the last pack
  std::int64_t silent_ = 0;
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
  std::vector<std::int64_t> source_tokens;
};

// kDataCorrupt: an example is too long and the options say error; no token at all carries loss.
Result<PackingCounts> CountPacks(const Corpus& corpus, const PackingOptions& options,
                                 std::uint64_t seed, std::uint64_t epoch);

// What the model reads in the place of token `i` of the piece, where it is to restore it; nullopt:
// the token itself. Requires options.masking.
std::optional<std::int32_t> HiddenAs(const Corpus& corpus, const PackingOptions& options,
                                     const Piece& piece, std::int64_t i);

// Whether the prediction of token `i` of the piece counts. What follows the past has one, which the
// first has not.
bool Predicted(const Corpus& corpus, const PackingOptions& options, const Piece& piece,
               std::int64_t i);
std::int64_t Predictions(const Corpus& corpus, const PackingOptions& options, const Piece& piece);

}  // namespace metier::train
