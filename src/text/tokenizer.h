// text/tokenizer.h - text <-> token ids, exactly as the model's own tokenizer does it.
//
// Sources: Hugging Face tokenizer.json (with tokenizer_config.json beside it), GPT-2's vocab.json +
// merges.txt, and the vocabulary inside a GGUF file. All end in one Tokenizer; what it does is
// decided by data, not by where it came from.
//
// Threads: a Tokenizer is immutable; every method may be called from many threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/limits.h"
#include "base/result.h"
#include "text/text_span.h"

namespace metier::text {

using TokenId = std::int32_t;

// Whether the post-processor's tokens (BOS, [CLS], ...) are put around the text.
enum class AddSpecial { kNo, kYes };
// Whether the spelling of a control token inside the text ("<|im_start|>") becomes that token. kNo
// for text from users.
enum class ParseSpecial { kNo, kYes };

// What was encoded right before this text, when a text is encoded in pieces. Behind other text no
// space is put in front of the piece; behind a control token a tokenizer may want one.
enum class Follows { kNothing, kControlToken, kText };

struct EncodeOptions {
  AddSpecial add_special = AddSpecial::kNo;
  ParseSpecial parse_special = ParseSpecial::kNo;
  // With ParseSpecial::kYes: stretches of the text in which control tokens are text all the same,
  // because users wrote them. In order, not overlapping; borrowed. The text is still encoded as
  // one: only the control tokens are not found.
  std::span<const TextSpan> literal = {};
  Follows follows = Follows::kNothing;
};

// The ids that the rest of the system asks for by role; -1: the vocabulary has none.
struct SpecialTokens {
  TokenId bos = -1;
  TokenId eos = -1;
  TokenId pad = -1;
  TokenId unk = -1;
  std::vector<TokenId>
      end_of_turn;  // further ids that end generation (<|im_end|>, <|eot_id|>, ...)
};

class Tokenizer {
 public:
  class Impl;  // text/tokenizer/*.h
  explicit Tokenizer(std::shared_ptr<const Impl> impl);

  // kDataCorrupt: not UTF-8 (with the byte offset), never a silent replacement.
  Result<std::vector<TokenId>> Encode(std::string_view text,
                                      const EncodeOptions& options = {}) const;

  // The decoder of the tokenizer, over all ids at once; invalid UTF-8 from byte tokens is kept as
  // bytes. kInvalidArgument: an id outside the vocabulary.
  enum class SkipSpecial { kNo, kYes };
  Result<std::string> Decode(std::span<const TokenId> ids,
                             SkipSpecial skip = SkipSpecial::kYes) const;

  // The bytes that one token adds in the middle of a text (no prefix stripping): what streaming
  // joins. "" for control tokens. Requires 0 <= id < vocab_size().
  std::string_view TokenBytes(TokenId id) const;
  // The token as it is spelled in the vocabulary ("Ġthe", "<0x0A>"). Requires 0 <= id <
  // vocab_size().
  std::string_view TokenName(TokenId id) const;
  std::optional<TokenId> FindToken(std::string_view name) const;
  bool IsSpecial(TokenId id) const;

  std::int64_t vocab_size() const;  // highest id + 1
  const SpecialTokens& special() const;

 private:
  friend class StreamDecoder;
  std::shared_ptr<const Impl> impl_;
};

// A Hugging Face directory: tokenizer.json (+ tokenizer_config.json, special_tokens_map.json,
// generation_config.json for the roles), or vocab.json + merges.txt. kNotFound, kDataCorrupt,
// kUnsupported (the component's name).
Result<Tokenizer> LoadTokenizer(const std::string& folder, const Limits& limits = {});

// From the two documents; `config` is tokenizer_config.json or null.
Result<Tokenizer> TokenizerFromJson(const Json& tokenizer, const Json& config,
                                    const Limits& limits = {});

// What a GGUF file says about its vocabulary (keys tokenizer.ggml.*), as format/gguf hands it over.
struct GgufVocab {
  std::string name;   // general.name: some models' added tokens behave differently (phi-3)
  std::string model;  // "llama", "gpt2", "bert", "t5", ...
  std::string pre;    // pre-tokenizer's name: "llama-bpe", "qwen2", "gpt-2", ...
  std::vector<std::string> tokens;
  std::vector<float> scores;              // empty: none
  std::vector<std::int32_t> token_types;  // 1 normal 2 unknown 3 control 4 user-defined 5 unused 6
                                          // byte; empty: all normal
  std::vector<std::string> merges;        // "a b"
  TokenId bos = -1, eos = -1, eot = -1, unk = -1, pad = -1, sep = -1, cls = -1;
  std::optional<bool> add_bos, add_eos, add_sep, add_space_prefix, remove_extra_whitespaces;
  std::string precompiled_charsmap;  // t5: SentencePiece's normalisation table, bytes
  std::string
      huggingface_json;  // tokenizer.huggingface.json: preferred over all of the above when present
};
Result<Tokenizer> TokenizerFromGguf(GgufVocab vocab, const Limits& limits = {});

// Joins streamed tokens into text that never ends inside a UTF-8 character. Requires that the
// tokenizer outlives it, and ids of the vocabulary.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer);
  // What can be shown after this token: complete characters only, valid until the next call. The
  // sum of all pieces and Finish() equals Decode(). A few decoders (CTC, "</w>" suffixes) look at
  // the whole text; with these everything comes at Finish().
  std::string_view Add(TokenId id);
  // The rest; incomplete bytes as they are.
  std::string Finish();

 private:
  const Tokenizer& tokenizer_;
  std::string pending_;
  std::string shown_;
  std::vector<TokenId> held_;  // of decoders that do not stream
  std::int64_t leading_left_;  // leading characters that may still be stripped
  bool first_ = true;
};

}  // namespace metier::text
