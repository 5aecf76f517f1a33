// text/trainer/word_counter.h - how often each word occurs in texts of any total size.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/pre_tokenizer.h"

namespace metier::text {

struct WordCounterOptions {
  int threads = 1;
  std::int64_t max_words = 0;
  std::int64_t batch_bytes = 0;
};

class WordCounter {
 public:
  // Spellings of special tokens in the texts are skipped. The stages must hand on pieces of the
  // text itself, not rewritten ones.
  WordCounter(PreTokenizers stages, const std::vector<std::string>& special_tokens,
              WordCounterOptions options);

  // Requires valid UTF-8. Counted at once when the batch is full. kResourceExhausted: the pattern.
  Status Add(std::string_view text);
  Status Flush();

  struct Word {
    std::string bytes;
    std::int64_t count = 0;
  };
  // The words in the order of their bytes. Empties the counter.
  std::vector<Word> Take();

  std::int64_t dropped_words() const { return dropped_words_; }
  std::int64_t count_error() const { return count_error_; }

 private:
  using Counts = std::unordered_map<std::string_view, std::int64_t>;
  Status CountTexts(std::size_t begin, std::size_t end, Counts& counts) const;
  void Prune();

  PreTokenizers stages_;
  AddedTokenMatcher special_;
  WordCounterOptions options_;
  std::unique_ptr<ThreadPool> pool_;
  std::vector<std::string> batch_;
  std::int64_t batch_bytes_ = 0;
  std::unordered_map<std::string, std::int64_t> table_;
  std::int64_t dropped_words_ = 0;
  std::int64_t count_error_ = 0;
};

}  // namespace metier::text
