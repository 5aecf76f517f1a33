// text/trainer/merge_learner.h - which pairs to join, in which order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "text/trainer/word_counter.h"

namespace metier::text {

struct MergeOptions {
  std::int64_t symbols = 0;  // new ones, at most
  std::int64_t min_frequency = 0;
  OnProgress on_merge = {};  // of `symbols`
};

// Symbols 0 to 255 are the bytes, new ones follow. A merge whose bytes are a symbol already (made
// of other parts) makes no new one.
struct LearnedMerge {
  std::uint32_t left = 0;
  std::uint32_t right = 0;
  std::uint32_t joined = 0;
};

// Of the most frequent pairs the one with the smallest (left, right) comes first. Pair counts are
// kept up to date: a merge costs the words that hold it. Requires less than 2^32 bytes of words.
// Errors: on_merge's.
Result<std::vector<LearnedMerge>> LearnMerges(const std::vector<WordCounter::Word>& words,
                                              const MergeOptions& options);

}  // namespace metier::text
