// text/tokenizer/model_unigram.h - the unigram language model of SentencePiece (Kudo 2018): the
// segmentation with the highest sum of log-probabilities, by Viterbi.
//
// A character that is no token costs the lowest score minus ten; neighbouring unknown characters
// come out as one unknown token, or as byte tokens. Cost: length times longest token.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "text/tokenizer/model.h"
#include "text/tokenizer/trie.h"

namespace metier::text {

struct UnigramOptions {
  TokenId unk = -1;
  bool byte_fallback = false;
  // Which tokens may be found in a text; empty: all.
  std::vector<bool> matchable;
  // Tokens over which the lowest score is taken; empty: all.
  std::vector<bool> scored;
};

class UnigramModel : public Model {
 public:
  // scores[i] belongs to token i. kDataCorrupt: as many scores as tokens are needed, all finite;
  // unk outside of the vocabulary.
  static Result<std::unique_ptr<UnigramModel>> Create(Vocab vocab, std::vector<double> scores,
                                                      UnigramOptions options);

 private:
  UnigramModel(Vocab vocab, std::vector<double> scores, UnigramOptions options);
  void EncodeWord(std::string_view word, Scratch& scratch,
                  std::vector<TokenId>& out) const override;
  void EmitUnknown(std::string_view text, Scratch& scratch, std::vector<TokenId>& out) const;

  std::vector<double> scores_;
  UnigramOptions options_;
  Trie trie_;
  double unk_score_ = 0;
};

}  // namespace metier::text
