// text/tokenizer/normalizer.h - rewriting a stretch of text before it is split.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/charsmap.h"
#include "text/tokenizer/regex.h"
#include "text/tokenizer/scratch.h"
#include "text/tokenizer/trie.h"
#include "text/tokenizer/unicode.h"

namespace metier::text {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // The normalised text, valid UTF-8 again. Requires valid UTF-8.
  virtual std::string Apply(std::string_view text, Scratch& scratch) const = 0;
  // Whether Apply is known, at less cost than running it, to change nothing.
  virtual bool Leaves(std::string_view) const { return false; }
};

using NormalizerPtr = std::unique_ptr<const Normalizer>;

enum class Accents {
  kKeep,
  kStrip,     // decompose (NFD), drop the nonspacing marks: BERT's own rule
  kBaseOnly,  // of each decomposition keep the first character, and no marks of any kind: what
              // llama.cpp does, visible in Hangul and in Indic vowel signs
};

struct BertNormalizerOptions {
  bool clean_text = true;            // drop control characters, all white space becomes ' '
  bool handle_chinese_chars = true;  // set CJK ideographs apart
  Accents accents = Accents::kStrip;
  bool lowercase = true;
};

// As SentencePiece prepares text for its unigram models.
struct SentencePieceNormalizerOptions {
  std::string charsmap;  // bytes of a precompiled map; "": none
  bool add_space_prefix = true;
  bool remove_extra_whitespaces = true;
  std::vector<std::string> user_defined;  // texts that pass unchanged
};

NormalizerPtr MakeSequence(std::vector<NormalizerPtr> parts);
NormalizerPtr MakeUnicodeNormalizer(NormalForm form);
NormalizerPtr MakeBertNormalizer(BertNormalizerOptions options);
NormalizerPtr MakeLowercase();
NormalizerPtr MakeStrip(bool left, bool right);
NormalizerPtr MakeStripAccents();
NormalizerPtr MakeNmt();
NormalizerPtr MakePrepend(std::string text);
NormalizerPtr MakeReplace(Regex pattern, std::string content);
NormalizerPtr MakeByteLevelNormalizer();
NormalizerPtr MakePrecompiled(Charsmap map);
Result<NormalizerPtr> MakeSentencePieceNormalizer(const SentencePieceNormalizerOptions& options);

}  // namespace metier::text
