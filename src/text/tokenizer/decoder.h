// text/tokenizer/decoder.h - from tokens back to text: a chain of steps, as tokenizer.json lists
// them.
//
// Most steps rewrite one token at a time and only ask whether it is the first; then comes Fuse and
// at most a strip of leading characters. Such a chain streams: TokenBytes is its per-token part.
// Any other chain still decodes, but a stream shows its text only at the end.
//
// Byte tokens become their bytes, also where these are no UTF-8 (the library writes U+FFFD there).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/regex.h"

namespace metier::text {

enum class TokenPlace { kFirst, kLater };

class DecoderStep {
 public:
  virtual ~DecoderStep() = default;
  // Rewrites one token. Only for per_token() steps.
  virtual void Rewrite(std::string& token, TokenPlace place) const = 0;
  virtual bool per_token() const { return true; }
  // Rewrites the list. Per-token steps go through it one by one.
  virtual void RewriteAll(std::vector<std::string>& tokens) const;
};

using DecoderStepPtr = std::unique_ptr<const DecoderStep>;

class Decoder {
 public:
  explicit Decoder(std::vector<DecoderStepPtr> steps);

  // The whole chain over all tokens.
  std::string Decode(std::vector<std::string> tokens) const;

  // Whether Decode() is: each token's Rewrite() joined, then leading_count() leading characters
  // leading_char() stripped (as many as there are).
  bool streams() const { return streams_; }
  // False, with the token cut short, when it grows beyond kMaxTokenBytes.
  static constexpr std::size_t kMaxTokenBytes = std::size_t{1} << 20;
  bool Rewrite(std::string& token, TokenPlace place) const;
  std::int64_t leading_count() const { return leading_count_; }
  const std::string& leading_char() const { return leading_char_; }

 private:
  std::vector<DecoderStepPtr> steps_;
  std::size_t per_token_ = 0;  // how many steps at the front rewrite single tokens
  bool streams_ = false;
  std::int64_t leading_count_ = 0;
  std::string leading_char_;
};

struct StripOptions {
  std::string character;   // one character
  std::int64_t start = 0;  // at most so many at the beginning
  std::int64_t stop = 0;   // and at the end
};

DecoderStepPtr MakeByteMapStep();       // byte alphabet -> bytes, per token
DecoderStepPtr MakeByteFallbackStep();  // <0xE2> -> byte
DecoderStepPtr MakeFuseStep();
DecoderStepPtr MakeStripStep(StripOptions options);
DecoderStepPtr MakeReplaceStep(Regex pattern, std::string content);
enum class DropFirstMark { kNo, kYes };
DecoderStepPtr MakeMetaspaceStep(std::string mark, DropFirstMark drop);
enum class CleanUp { kNo, kYes };
DecoderStepPtr MakeWordPieceStep(std::string prefix, CleanUp clean_up);
DecoderStepPtr MakeBpeSuffixStep(std::string suffix);
struct CtcOptions {
  std::string pad_token = "<pad>";
  std::string word_delimiter = "|";
  CleanUp clean_up = CleanUp::kYes;
};
DecoderStepPtr MakeCtcStep(CtcOptions options);
DecoderStepPtr MakeJoinWithSpacesStep();  // what the library does without a decoder

}  // namespace metier::text
