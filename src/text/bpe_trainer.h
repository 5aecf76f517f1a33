// text/bpe_trainer.h - learns a byte-level BPE tokenizer from text and writes it as tokenizer.json.
//
// Texts are cut into words by a pattern, words are counted on all cores, then the most frequent
// pair of neighbouring tokens is joined again and again (Sennrich et al. 2016). Of equally frequent
// pairs the one with the smaller ids wins, so the result depends on the texts alone: not on
// threads, nor on the order of the texts (as long as the word table is exact).
//
// Memory: the distinct words and one batch of text, whatever the size of the corpus. When there are
// more than max_words distinct words, the rarest are dropped and reported: every remaining count is
// then too small by at most TrainedBpe::count_error.
//
// Ids: special tokens from 0 on, then the 256 bytes, then the merges in the order they were
// learned.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"

namespace metier::text {

// kIndividually: every digit is a token of its own, so that a model can copy numbers.
enum class DigitSplit { kByPattern, kIndividually };
enum class BosAtStart { kNo, kYes };

struct BpeTrainerOptions {
  std::int64_t vocab_size = 8192;  // special tokens and bytes included
  std::int64_t min_frequency = 2;  // rarer pairs are not joined
  std::vector<std::string> special_tokens = {"<|endoftext|>"};
  // Which special tokens have a role; "" for none.
  std::string bos;
  std::string eos = "<|endoftext|>";
  std::string pad;
  BosAtStart add_bos = BosAtStart::kNo;  // whether AddSpecial::kYes puts bos in front
  std::string pattern;                   // Oniguruma syntax; "": kDefaultBpePattern
  DigitSplit digits = DigitSplit::kByPattern;
  int threads = 0;                     // 0: all cores
  std::int64_t max_words = 1 << 22;    // distinct words held, about 100 bytes each
  std::int64_t batch_bytes = 8 << 20;  // text that is read before it is counted
  OnProgress on_read;                  // bytes of a file, anew for each
  OnProgress on_merge;                 // merges learned
};

// Contractions, words with one leading character, one to three digits, punctuation, line breaks,
// spaces: the pattern of Llama 3.
extern const std::string_view kDefaultBpePattern;

struct TrainedBpe {
  Json tokenizer;                  // tokenizer.json
  Json config;                     // tokenizer_config.json
  std::int64_t vocab_size = 0;     // may be less than asked for: no pair was frequent enough
  std::int64_t words = 0;          // distinct words that were counted
  std::int64_t dropped_words = 0;  // words that the table had no room for (0: exact)
  std::int64_t count_error = 0;

  // Writes both files into the folder, which is made if need be; each is whole or absent.
  Status Save(const std::string& folder) const;
};

// kByName: .jsonl and .ndjson hold JSON lines, everything else is plain text.
enum class CorpusFormat { kByName, kText, kJsonLines };

class BpeTrainer {
 public:
  // kInvalidArgument: a vocabulary too small for bytes and special tokens, a role that is no
  // special token, a special token twice; errors of the pattern.
  static Result<BpeTrainer> Create(BpeTrainerOptions options);
  BpeTrainer(BpeTrainer&&) noexcept;
  BpeTrainer& operator=(BpeTrainer&&) noexcept;
  ~BpeTrainer();

  // One document. kDataCorrupt: not UTF-8.
  Status AddText(std::string_view text);
  // Texts until `next` gives none; its errors are passed on.
  Status AddTexts(const std::function<Result<std::optional<std::string>>()>& next);
  // A file of any size. Plain text is cut before each line that does not begin with white space,
  // and lines of more than batch_bytes at the nearest character. JSON lines have "text" (a string)
  // or "messages" (whose roles, contents and tool calls count). kDataCorrupt: with the line's
  // number.
  Status AddFile(const std::string& path, CorpusFormat format = CorpusFormat::kByName);

  // Learns the merges from everything added so far. May be called once.
  Result<TrainedBpe> Train() &&;

 private:
  struct State;
  explicit BpeTrainer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace metier::text
