// train/example_order.h - the order in which a run reads the examples of an epoch.
//
// A function of the data, the seed and the epoch's number alone: orders are computed, not stored,
// and a run that resumes walks the same one again.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "train/corpus.h"

namespace metier::train {

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

enum class OrderKind {
  kShuffle,   // all examples alike
  kPriority,  // without replacement, the next from source s with chance weight_s * left_s: sources
              // of large weights come early, and pass into the others without a border (Chen et al.
              // 2023, HuatuoGPT-II, priority sampling)
  kShares,    // tokens of the sources are always as their weights (a mixture of corpora in every
              // batch; Wu et al. 2023, PMC-LLaMA, 15:4:1): short sources are read again, each time
              // in another order, and of long ones a part
};

// How the sources of a corpus are mixed. An epoch has each source's examples `repeats` times, or,
// of kShares, as many tokens.
struct MixOptions {
  OrderKind kind = OrderKind::kShuffle;
  std::vector<double> weights;        // one for each source; empty: 1 each
  std::vector<std::int64_t> repeats;  // alike
};

class ExampleOrder {
 public:
  virtual ~ExampleOrder() = default;
  // The first example of a group of the corpus. Nothing at the end of the epoch.
  virtual std::optional<std::int64_t> Next() = 0;
};

// `longest`: tokens that are read of an example at most, for shares; 0: all of them. Borrows the
// corpus.
std::unique_ptr<ExampleOrder> MakeOrder(const Corpus& corpus, const MixOptions& options,
                                        std::int64_t longest, std::uint64_t seed,
                                        std::uint64_t epoch);

}  // namespace metier::train
