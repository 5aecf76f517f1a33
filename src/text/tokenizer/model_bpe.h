// text/tokenizer/model_bpe.h - byte-pair encoding (Sennrich et al. 2016): start from characters or
// bytes, always join the pair of the lowest rank, the leftmost of equals.
//
// One engine for three sources: merge lists (Hugging Face, GPT-2), and SentencePiece scores, where
// any two neighbours whose text is a token may be joined and the token's score is the rank.
//
// Cost: words up to kShortWord symbols by scanning, longer ones with a heap: n log n. A text that
// comes unsplit is first cut between characters that no merge joins, which changes nothing.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "text/tokenizer/model.h"

namespace metier::text {

struct BpeOptions {
  // The words are bytes, and a vocabulary in GPT-2's byte alphabet is searched for them. Excludes
  // byte_fallback, prefix and suffix.
  bool byte_level = false;
  bool byte_fallback = false;  // an unknown character becomes its bytes: <0xE2><0x96>...
  bool fuse_unk = false;       // neighbouring unknown characters become one unknown token
  bool ignore_merges = false;  // a word that is a token is that token, whatever the merges say
  std::string unk_token;       // "": none; unknown characters then vanish, as in the library
  std::string continuing_subword_prefix;
  std::string end_of_word_suffix;
};

class BpeModel : public Model {
 public:
  using Merges = std::vector<std::pair<std::string, std::string>>;

  // kDataCorrupt: a merge whose parts or result are not tokens; an unk_token that is none.
  static Result<std::unique_ptr<BpeModel>> FromMerges(Vocab vocab, const Merges& merges,
                                                      BpeOptions options);
  // scores[i] belongs to token i. Requires scores.size() == vocab.size().
  static Result<std::unique_ptr<BpeModel>> FromScores(Vocab vocab, const std::vector<float>& scores,
                                                      BpeOptions options);

  void Encode(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const override;

 private:
  BpeModel(Vocab vocab, BpeOptions options);
  Status FindSingles();
  void AllowJoin(std::uint32_t left, std::uint32_t right);
  bool MayJoin(std::uint32_t left, std::uint32_t right) const;
  TokenId CharId(std::string_view character) const;

  void EncodeWord(std::string_view word, Scratch& scratch,
                  std::vector<TokenId>& out) const override;
  void AddSymbols(std::string_view word, std::vector<std::uint32_t>& symbols) const;
  bool AddBytes(std::string_view text, std::vector<std::uint32_t>& symbols) const;
  void MergeShort(Scratch& scratch) const;
  void MergeLong(Scratch& scratch) const;
  void Emit(const std::vector<std::uint32_t>& symbols, std::vector<TokenId>& out) const;

  BpeOptions options_;
  PairMap merges_;                        // (left, right) -> rank << 32 | joined
  std::array<TokenId, 256> byte_ids_{};   // of bytes: the alphabet's, or <0x..>; -1: none
  std::array<TokenId, 128> ascii_ids_{};  // of one-character tokens
  TokenId unk_ = -1;
  bool all_bytes_ = false;

  // FromScores: characters that occur in tokens without being one, as symbols from vocab size on.
  std::vector<std::string> loose_chars_;
  StringIndex loose_index_;

  bool cut_ = false;  // whether Encode may cut between characters that no merge joins
  std::array<std::uint64_t, 128 * 128 / 64> join_ascii_{};
  PairMap join_others_;
};

}  // namespace metier::text
