#include "text/tokenizer/hf_components.h"
#include "text/tokenizer/unicode.h"

namespace metier::text {
namespace {

Result<SplitBehavior> Behavior(const HfObject& object, std::string fallback) {
  METIER_ASSIGN(const std::string name, object.TextOr("behavior", std::move(fallback)));
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return object.Wrong("behavior",
                      "Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
}

class Parser {
 public:
  Status Parse(const HfObject& object) {
    METIER_ASSIGN(const std::string type, object.Text("type"));
    if (type == "Sequence") {
      METIER_ASSIGN(const std::vector<HfObject> parts, object.Objects("pretokenizers"));
      for (const HfObject& part : parts) METIER_TRY(Parse(part));
      return Ok();
    }
    parsed_.ends_with_byte_map = false;
    if (type == "ByteLevel") return ByteLevel(object);
    if (type == "Split") return Split(object);
    if (type == "Metaspace") return MetaspaceStage(object);
    if (type == "Whitespace") return Add(MakeWhitespaceWords());
    if (type == "UnicodeScripts") return Add(MakeUnicodeScripts());
    if (type == "WhitespaceSplit") {
      return Add(MakeCharSplit(IsWhitespace, SplitBehavior::kRemoved));
    }
    if (type == "BertPreTokenizer") {
      METIER_TRY(Add(MakeCharSplit(IsWhitespace, SplitBehavior::kRemoved)));
      return Add(MakeCharSplit(IsPunctuation, SplitBehavior::kIsolated));
    }
    if (type == "Punctuation") {
      METIER_ASSIGN(const SplitBehavior behavior, Behavior(object, "Isolated"));
      return Add(MakeCharSplit(IsPunctuation, behavior));
    }
    if (type == "Digits") {
      METIER_ASSIGN(const bool each, object.BoolOr("individual_digits", false));
      return Add(
          MakeCharSplit(IsNumeric, each ? SplitBehavior::kIsolated : SplitBehavior::kContiguous));
    }
    if (type == "CharDelimiterSplit") {
      METIER_ASSIGN(const std::uint32_t delimiter, object.Char("delimiter"));
      return Add(MakeDelimiterSplit(delimiter));
    }
    if (type == "FixedLength") {
      METIER_ASSIGN(const std::int64_t length, object.IntOr("length", 5));
      if (length < 1) return object.Wrong("length", "at least 1");
      return Add(MakeFixedLength(length));
    }
    return object.UnknownType(
        type,
        "ByteLevel, Split, Digits, Metaspace, Punctuation, Whitespace, WhitespaceSplit, "
        "CharDelimiterSplit, FixedLength, UnicodeScripts, BertPreTokenizer, Sequence");
  }

  ParsedPreTokenizer Take() { return std::move(parsed_); }

 private:
  Status Add(PreTokenizerPtr stage) {
    parsed_.stages.push_back(std::move(stage));
    return Ok();
  }

  Status ByteLevel(const HfObject& object) {
    METIER_ASSIGN(const bool prefix, object.BoolOr("add_prefix_space", true));
    METIER_ASSIGN(const bool use_regex, object.BoolOr("use_regex", true));
    if (prefix) METIER_TRY(Add(MakePrefixSpace()));
    if (use_regex) {
      METIER_ASSIGN(Regex pattern, Regex::Compile(kGpt2Pattern));
      METIER_TRY(
          Add(MakeSplit(std::move(pattern), SplitBehavior::kIsolated, SplitMatches::kOfPattern)));
    }
    METIER_TRY(Add(MakeByteMap()));
    parsed_.ends_with_byte_map = true;
    return Ok();
  }

  Status Split(const HfObject& object) {
    METIER_ASSIGN(Regex pattern, object.Pattern("pattern"));
    METIER_TRY(object.Text("behavior"));
    METIER_ASSIGN(const SplitBehavior behavior, Behavior(object, ""));
    METIER_ASSIGN(const bool invert, object.BoolOr("invert", false));
    return Add(MakeSplit(std::move(pattern), behavior,
                         invert ? SplitMatches::kBetween : SplitMatches::kOfPattern));
  }

  Status MetaspaceStage(const HfObject& object) {
    MetaspaceOptions options;
    METIER_ASSIGN(options.replacement, object.Char("replacement"));
    METIER_ASSIGN(const std::string scheme, object.TextOr("prepend_scheme", "always"));
    if (scheme == "never") {
      options.prepend = PrependScheme::kNever;
    } else if (scheme == "first") {
      options.prepend = PrependScheme::kFirst;
    } else if (scheme != "always") {
      return object.Wrong("prepend_scheme", "always, first or never");
    }
    METIER_ASSIGN(const std::optional<bool> prefix, object.MaybeBool("add_prefix_space"));
    if (prefix == false) options.prepend = PrependScheme::kNever;
    METIER_ASSIGN(const bool split, object.BoolOr("split", true));
    options.split = split ? MetaspaceSplit::kYes : MetaspaceSplit::kNo;
    return Add(MakeMetaspace(options));
  }

  ParsedPreTokenizer parsed_;
};

}  // namespace

Result<ParsedPreTokenizer> ParsePreTokenizer(const HfObject& object) {
  Parser parser;
  METIER_TRY(parser.Parse(object));
  return parser.Take();
}

}  // namespace metier::text
