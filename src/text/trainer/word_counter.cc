#include "text/trainer/word_counter.h"

#include <algorithm>
#include <mutex>
#include <utility>

namespace metier::text {
namespace {

class CountSink final : public PieceSink {
 public:
  explicit CountSink(std::unordered_map<std::string_view, std::int64_t>& counts)
      : counts_(counts) {}
  void Add(Piece piece) override { ++counts_[piece.text]; }

 private:
  std::unordered_map<std::string_view, std::int64_t>& counts_;
};

}  // namespace

WordCounter::WordCounter(PreTokenizers stages, const std::vector<std::string>& special_tokens,
                         WordCounterOptions options)
    : stages_(std::move(stages)),
      options_(options),
      pool_(std::make_unique<ThreadPool>(options.threads)) {
  TokenId id = 0;
  for (const std::string& token : special_tokens) {
    AddedToken added;
    added.id = id++;
    added.content = token;
    special_.Add(added, token);
  }
}

Status WordCounter::Add(std::string_view text) {
  if (text.empty()) return Ok();
  batch_.emplace_back(text);
  batch_bytes_ += static_cast<std::int64_t>(text.size());
  return batch_bytes_ >= options_.batch_bytes ? Flush() : Ok();
}

Status WordCounter::CountTexts(std::size_t begin, std::size_t end, Counts& counts) const {
  Scratch scratch;
  CountSink sink(counts);
  for (std::size_t i = begin; i < end; ++i) {
    special_.Split(batch_[i], [&](const Fragment& fragment) {
      if (fragment.token < 0) RunStages(stages_, Piece{fragment.text, false}, scratch, sink);
    });
    METIER_TRY(scratch.status);
  }
  return Ok();
}

// Sums do not depend on who counted what, and batches are cut by bytes: the table after each batch
// is the same for any number of threads.
Status WordCounter::Flush() {
  std::mutex mutex;
  std::vector<Counts> parts;
  Status failed;
  pool_->ParallelFor(batch_.size(), 1, [&](std::size_t begin, std::size_t end) {
    Counts counts;
    Status status = CountTexts(begin, end, counts);
    const std::lock_guard lock(mutex);
    parts.push_back(std::move(counts));
    if (!status.ok() && failed.ok()) failed = std::move(status);
  });
  METIER_TRY(std::move(failed));
  for (const Counts& counts : parts) {
    for (const auto& item : counts) table_[std::string(item.first)] += item.second;
  }
  batch_.clear();
  batch_bytes_ = 0;
  if (static_cast<std::int64_t>(table_.size()) > options_.max_words) Prune();
  return Ok();
}

// Lossy counting (Manku & Motwani 2002, simplified): drops words up to the smallest count that
// leaves the table half full.
void WordCounter::Prune() {
  std::vector<std::int64_t> counts;
  counts.reserve(table_.size());
  for (const auto& item : table_) counts.push_back(item.second);
  const auto keep = static_cast<std::ptrdiff_t>(options_.max_words / 2);
  std::nth_element(counts.begin(), counts.begin() + keep, counts.end(), std::greater<>());
  const std::int64_t most = counts[static_cast<std::size_t>(keep)];
  for (auto item = table_.begin(); item != table_.end();) {
    if (item->second <= most) {
      ++dropped_words_;
      item = table_.erase(item);
    } else {
      ++item;
    }
  }
  count_error_ += most;
}

std::vector<WordCounter::Word> WordCounter::Take() {
  std::vector<Word> words;
  words.reserve(table_.size());
  while (!table_.empty()) {
    auto node = table_.extract(table_.begin());
    words.push_back({std::move(node.key()), node.mapped()});
  }
  std::sort(words.begin(), words.end(),
            [](const Word& a, const Word& b) { return a.bytes < b.bytes; });
  return words;
}

}  // namespace metier::text
