#include "text/trainer/merge_learner.h"

#include <algorithm>
#include <cstddef>
#include <queue>
#include <unordered_map>
#include <utility>

#include "text/tokenizer/vocab.h"

namespace metier::text {
namespace {

class Learner {
 public:
  explicit Learner(const std::vector<WordCounter::Word>& words) {
    std::size_t bytes = 0;
    for (const WordCounter::Word& word : words) bytes += word.bytes.size();
    symbols_.reserve(bytes);
    words_.reserve(words.size());
    for (const WordCounter::Word& word : words) {
      words_.push_back(
          {symbols_.size(), static_cast<std::uint32_t>(word.bytes.size()), word.count});
      for (const char byte : word.bytes) symbols_.push_back(static_cast<unsigned char>(byte));
    }
    for (std::uint32_t w = 0; w < words_.size(); ++w) {
      const Word& word = words_[w];
      for (std::uint32_t i = 0; i + 1 < word.size; ++i) {
        Change(symbols_[word.begin + i], symbols_[word.begin + i + 1], word.count, w);
      }
      touched_.clear();
    }
    for (const Pair& pair : pairs_) heap_.push(CandidateOf(pair));
    for (int byte = 0; byte < 256; ++byte) AddSymbol(std::string(1, static_cast<char>(byte)));
  }

  Result<std::vector<LearnedMerge>> Run(const MergeOptions& options) {
    std::vector<LearnedMerge> merges;
    while (static_cast<std::int64_t>(names_.size()) < 256 + options.symbols && !heap_.empty()) {
      const Candidate best = heap_.top();
      heap_.pop();
      const std::uint64_t at = index_.Find(PairMap::Key(best.left, best.right));
      const std::int64_t count = pairs_[at].count;
      if (count != best.count) {  // it has shrunk since; a grown one was pushed anew
        if (count > 0 && count < best.count) heap_.push({count, best.left, best.right});
        continue;
      }
      if (count < std::max<std::int64_t>(options.min_frequency, 1)) break;
      const std::uint32_t joined = AddSymbol(names_[best.left] + names_[best.right]);
      Join(at, joined);
      merges.push_back({best.left, best.right, joined});
      METIER_TRY(Report(options.on_merge, names_.size() - 256,
                        static_cast<std::uint64_t>(options.symbols)));
    }
    return merges;
  }

 private:
  struct Word {
    std::size_t begin;
    std::uint32_t size;
    std::int64_t count;
  };
  struct Pair {
    std::uint32_t left;
    std::uint32_t right;
    std::int64_t count = 0;
    std::vector<std::uint32_t> words;  // that hold it, or held it once; in order
  };
  struct Candidate {
    std::int64_t count;
    std::uint32_t left;
    std::uint32_t right;
    bool operator<(const Candidate& other) const {
      if (count != other.count) return count < other.count;
      return std::pair(left, right) > std::pair(other.left, other.right);
    }
  };

  std::uint32_t AddSymbol(const std::string& bytes) {
    const auto next = static_cast<std::uint32_t>(names_.size());
    const auto [entry, added] = symbol_of_.emplace(bytes, next);
    if (added) names_.push_back(bytes);
    return entry->second;
  }

  static Candidate CandidateOf(const Pair& pair) { return {pair.count, pair.left, pair.right}; }

  void Change(std::uint32_t left, std::uint32_t right, std::int64_t by, std::uint32_t word) {
    const std::uint64_t key = PairMap::Key(left, right);
    std::uint64_t at = index_.Find(key);
    if (at == PairMap::kAbsent) {
      at = pairs_.size();
      index_.Insert(key, at);
      pairs_.push_back({left, right, 0, {}});
    }
    Pair& pair = pairs_[at];
    pair.count += by;
    if (by <= 0) return;
    if (pair.words.empty() || pair.words.back() != word) pair.words.push_back(word);
    touched_.push_back(at);
  }

  // Joins the pair in every word that holds it and renews the counts of what stands around it.
  void Join(std::uint64_t at, std::uint32_t joined) {
    const std::uint32_t left = pairs_[at].left;
    const std::uint32_t right = pairs_[at].right;
    const std::vector<std::uint32_t> holders = std::move(pairs_[at].words);
    touched_.clear();
    std::uint32_t last = ~0U;
    for (const std::uint32_t w : holders) {
      if (w != last) JoinIn(w, left, right, joined);
      last = w;
    }
    pairs_[at].count = 0;
    pairs_[at].words.clear();
    std::sort(touched_.begin(), touched_.end());
    touched_.erase(std::unique(touched_.begin(), touched_.end()), touched_.end());
    for (const std::uint64_t grown : touched_) {
      if (grown != at && pairs_[grown].count > 0) heap_.push(CandidateOf(pairs_[grown]));
    }
  }

  void JoinIn(std::uint32_t w, std::uint32_t left, std::uint32_t right, std::uint32_t joined) {
    Word& word = words_[w];
    std::uint32_t* symbols = symbols_.data() + word.begin;
    std::uint32_t out = 0;
    for (std::uint32_t i = 0; i < word.size; ++i) {
      if (i + 1 >= word.size || symbols[i] != left || symbols[i + 1] != right) {
        symbols[out++] = symbols[i];
        continue;
      }
      if (out > 0) {
        Change(symbols[out - 1], left, -word.count, w);
        Change(symbols[out - 1], joined, word.count, w);
      }
      if (i + 2 < word.size) {
        Change(right, symbols[i + 2], -word.count, w);
        Change(joined, symbols[i + 2], word.count, w);
      }
      symbols[out++] = joined;
      ++i;
    }
    word.size = out;
  }

  std::vector<std::string> names_;  // the bytes of each symbol
  std::unordered_map<std::string, std::uint32_t> symbol_of_;
  std::vector<std::uint32_t> symbols_;  // of all words, one behind the other
  std::vector<Word> words_;
  std::vector<Pair> pairs_;
  PairMap index_;                       // (left, right) -> place in pairs_
  std::vector<std::uint64_t> touched_;  // pairs that grew in the current merge
  std::priority_queue<Candidate> heap_;
};

}  // namespace

Result<std::vector<LearnedMerge>> LearnMerges(const std::vector<WordCounter::Word>& words,
                                              const MergeOptions& options) {
  return Learner(words).Run(options);
}

}  // namespace metier::text
