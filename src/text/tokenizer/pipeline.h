// text/tokenizer/pipeline.h - what a Tokenizer is inside: added tokens -> normalizer -> added
// tokens
// -> pre-tokenizer -> model -> post-processor, and the decoder for the way back.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer.h"
#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/decoder.h"
#include "text/tokenizer/model.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/post_processor.h"
#include "text/tokenizer/pre_tokenizer.h"

namespace metier::text {

// What a loader puts together.
struct TokenizerParts {
  std::vector<AddedToken> added;
  NormalizerPtr normalizer;  // null: none
  PreTokenizers pre_tokenizers;
  std::unique_ptr<const Model> model;
  PostProcessor post;
  std::unique_ptr<const Decoder> decoder;
  SpecialTokens special;
};

class Tokenizer::Impl {
 public:
  // kDataCorrupt: an added token contradicts the vocabulary or another one.
  static Result<Tokenizer> Create(TokenizerParts parts);

  Result<std::vector<TokenId>> Encode(std::string_view text, const EncodeOptions& options) const;
  Result<std::string> Decode(std::span<const TokenId> ids, SkipSpecial skip) const;

  std::string_view TokenBytes(TokenId id) const {
    const auto at = static_cast<std::size_t>(id);
    return std::string_view(bytes_).substr(begins_[at], begins_[at + 1] - begins_[at]);
  }
  // As TokenBytes, for the first token of a text.
  std::string FirstTokenBytes(TokenId id) const;
  std::string_view TokenName(TokenId id) const;
  TokenId Find(std::string_view name) const;
  bool IsSpecial(TokenId id) const { return special_ids_[static_cast<std::size_t>(id)]; }
  std::int64_t size() const { return size_; }
  const SpecialTokens& special() const { return parts_.special; }
  const Decoder& decoder() const { return *parts_.decoder; }

 private:
  explicit Impl(TokenizerParts parts) : parts_(std::move(parts)) {}
  Status AddTokens();
  Status FillBytes();
  // `begin`: where `fragment` stands in the text that is encoded.
  void EncodeFragment(std::string_view fragment, std::size_t begin, const EncodeOptions& options,
                      Scratch& scratch, std::vector<TokenId>& out) const;
  // A control token whose spelling touches a literal stretch is text. [begin, end) of the text.
  bool Wanted(TokenId token, std::size_t begin, std::size_t end,
              const EncodeOptions& options) const;

  std::unique_ptr<Scratch> LeaseScratch() const;
  void ReturnScratch(std::unique_ptr<Scratch> scratch) const;

  TokenizerParts parts_;
  // Of the tokens searched for in the raw and in the normalised text: all, and without the special.
  AddedTokenMatcher raw_all_, raw_plain_, normalized_all_, normalized_plain_;
  std::unordered_map<TokenId, std::size_t> added_;  // id -> place in parts_.added
  std::unordered_map<std::string_view, TokenId> added_names_;
  std::vector<bool> special_ids_;
  std::int64_t size_ = 0;
  std::string bytes_;  // TokenBytes of all ids, one behind the other
  std::vector<std::size_t> begins_;

  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Scratch>> idle_;  // one per Encode that ran at once
};

}  // namespace metier::text
