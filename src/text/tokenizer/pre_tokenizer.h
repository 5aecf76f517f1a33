// text/tokenizer/pre_tokenizer.h - cutting a stretch of normalised text into the words that the
// model encodes one by one.
//
// Pieces are handed on as they are found, stage after stage, so a long text is never held as a list
// of words. A stage may rewrite its pieces (Metaspace, ByteLevel); what it hands on is valid during
// the call.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/regex.h"
#include "text/tokenizer/scratch.h"

namespace metier::text {

struct Piece {
  std::string_view text;  // not empty
  bool at_start = false;  // of the whole text that was given to Encode
};

class PieceSink {
 public:
  virtual void Add(Piece piece) = 0;

 protected:
  ~PieceSink() = default;
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // Cuts the piece; empty results are left out.
  virtual void Split(Piece piece, Scratch& scratch, PieceSink& sink) const = 0;
};

using PreTokenizerPtr = std::unique_ptr<const PreTokenizer>;
using PreTokenizers = std::vector<PreTokenizerPtr>;  // stages, in order

// Runs the stages from `first` on; none left: the piece itself.
void RunStages(const PreTokenizers& stages, Piece piece, Scratch& scratch, PieceSink& sink);

// What becomes of the matches of a splitting pattern.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };
enum class SplitMatches { kOfPattern, kBetween };  // kBetween: "invert"

enum class PrependScheme { kNever, kFirst, kAlways };
enum class MetaspaceSplit { kNo, kYes };
struct MetaspaceOptions {
  std::uint32_t replacement = 0x2581;
  PrependScheme prepend = PrependScheme::kAlways;
  MetaspaceSplit split = MetaspaceSplit::kYes;
};

// The pattern of GPT-2, which ByteLevel uses.
extern const std::string_view kGpt2Pattern;

PreTokenizerPtr MakeSplit(Regex pattern, SplitBehavior behavior, SplitMatches matches);
// By characters for which the predicate holds.
PreTokenizerPtr MakeCharSplit(bool (*matches)(std::uint32_t), SplitBehavior behavior);
PreTokenizerPtr MakeDelimiterSplit(std::uint32_t delimiter);
PreTokenizerPtr MakeWhitespaceWords();  // \w+|[^\w\s]+
PreTokenizerPtr MakeMetaspace(MetaspaceOptions options);
PreTokenizerPtr MakeFixedLength(std::int64_t chars);
PreTokenizerPtr MakeUnicodeScripts();
PreTokenizerPtr MakePrefixSpace();  // ' ' in front of each piece that has none
PreTokenizerPtr MakeByteMap();      // every byte becomes its character of the byte alphabet

}  // namespace metier::text
