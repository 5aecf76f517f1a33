// text/tokenizer/scratch.h - what one thread needs while it encodes: buffers, the word cache, the
// first error. A tokenizer lends one to each running Encode and keeps it for the next.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer/vocab.h"

namespace metier::text {

// Ids of words seen before. Direct-mapped, one cache line a word: a collision overwrites, so the
// size is fixed and results never depend on what was encoded earlier.
class WordCache {
 public:
  static constexpr std::size_t kSlots = 1 << 15;
  static constexpr std::size_t kMaxBytes = 30;
  static constexpr std::size_t kMaxIds = 8;

  static bool Fits(std::string_view word) { return !word.empty() && word.size() <= kMaxBytes; }

  // Appends the ids and returns true when the word is known. Requires Fits(word).
  bool Find(std::string_view word, std::vector<TokenId>& out) {
    if (slots_ == nullptr) slots_ = std::make_unique<Slot[]>(kSlots);
    slot_ = &slots_[HashBytes(word) & (kSlots - 1)];
    if (slot_->bytes != word.size() ||
        std::memcmp(slot_->text.data(), word.data(), word.size()) != 0)
      return false;
    out.insert(out.end(), slot_->ids.begin(), slot_->ids.begin() + slot_->count);
    return true;
  }

  // Keeps the ids of the word that Find just missed.
  void Keep(std::string_view word, const TokenId* ids, std::size_t count) {
    if (count > kMaxIds) return;
    slot_->bytes = static_cast<std::uint8_t>(word.size());
    slot_->count = static_cast<std::uint8_t>(count);
    std::memcpy(slot_->text.data(), word.data(), word.size());
    std::memcpy(slot_->ids.data(), ids, count * sizeof(TokenId));
  }

 private:
  struct alignas(64) Slot {
    std::array<TokenId, kMaxIds> ids;
    std::uint8_t bytes = 0;
    std::uint8_t count = 0;
    std::array<char, kMaxBytes> text;
  };
  static_assert(sizeof(Slot) == 64);

  std::unique_ptr<Slot[]> slots_;
  Slot* slot_ = nullptr;
};

struct Scratch {
  WordCache words;

  // BPE: the symbols of one word as a linked list, and the candidates to merge.
  struct Candidate {
    std::uint64_t order;  // rank, then position: smallest first
    std::uint64_t merge;  // as PairMap holds it
  };
  std::vector<std::uint32_t> symbols;
  std::vector<std::uint64_t> merges;
  std::vector<std::uint32_t> previous;
  std::vector<std::uint32_t> next;
  std::vector<Candidate> heap;

  // Unigram: the best way to reach each byte.
  struct BestPath {
    double score;
    std::uint32_t begin;
    TokenId id;
  };
  std::vector<BestPath> paths;

  bool continues = false;  // the stretch at hand goes on from other text: no prefix before it

  Status status;  // the first error; what comes after it is skipped
  void Fail(Error error) {
    if (status.ok()) status = std::move(error);
  }
};

}  // namespace metier::text
