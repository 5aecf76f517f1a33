// text/tokenizer/model.h - from one pre-token to ids: the interface of BPE, Unigram, WordPiece and
// WordLevel.
#pragma once

#include <string_view>
#include <vector>

#include "text/tokenizer/scratch.h"
#include "text/tokenizer/vocab.h"

namespace metier::text {

class Model {
 public:
  explicit Model(Vocab vocab) : vocab_(std::move(vocab)) {}
  virtual ~Model() = default;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const Vocab& vocab() const { return vocab_; }

  // Appends the ids of one pre-token (not empty); an error goes to the scratch. Words that fit are
  // looked up in the scratch's cache first.
  virtual void Encode(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const {
    EncodeCached(word, scratch, out);
  }

 protected:
  void EncodeCached(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const {
    if (!WordCache::Fits(word)) return EncodeWord(word, scratch, out);
    if (scratch.words.Find(word, out)) return;
    const std::size_t before = out.size();
    EncodeWord(word, scratch, out);
    if (scratch.status.ok()) {
      scratch.words.Keep(word, out.data() + before, out.size() - before);
    }
  }
  virtual void EncodeWord(std::string_view word, Scratch& scratch,
                          std::vector<TokenId>& out) const = 0;

  Vocab vocab_;
};

}  // namespace metier::text
