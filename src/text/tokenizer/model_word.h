// text/tokenizer/model_word.h - models that look whole words up: WordPiece (greedy, longest piece
// first; Schuster & Nakajima 2012, as BERT does it) and WordLevel.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/model.h"

namespace metier::text {

struct WordPieceOptions {
  std::string unk_token = "[UNK]";
  std::string continuing_prefix = "##";  // of every piece but the first
  std::string word_prefix;               // of the word; GGUF files write "▁" here
  std::int64_t max_chars = 100;          // longer words are unknown; -1: no limit
};

class WordPieceModel : public Model {
 public:
  // kDataCorrupt: unk_token is not in the vocabulary.
  static Result<std::unique_ptr<WordPieceModel>> Create(Vocab vocab, WordPieceOptions options);

 private:
  WordPieceModel(Vocab vocab, WordPieceOptions options, TokenId unk);
  void EncodeWord(std::string_view word, Scratch& scratch,
                  std::vector<TokenId>& out) const override;

  WordPieceOptions options_;
  TokenId unk_;
};

class WordLevelModel : public Model {
 public:
  // An absent unk_token is an error of the texts that need it, as in the library.
  WordLevelModel(Vocab vocab, std::string_view unk_token);

 private:
  void EncodeWord(std::string_view word, Scratch& scratch,
                  std::vector<TokenId>& out) const override;

  TokenId unk_;
};

}  // namespace metier::text
