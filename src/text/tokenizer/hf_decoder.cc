#include <fmt/format.h>

#include "text/tokenizer/hf_components.h"
#include "text/tokenizer/unicode.h"

namespace metier::text {
namespace {

std::string CharText(std::uint32_t code) {
  std::string text;
  AppendChar(text, code);
  return text;
}

Result<DecoderStepPtr> ParseStrip(const HfObject& object) {
  METIER_ASSIGN(const std::uint32_t content, object.Char("content"));
  StripOptions options{CharText(content), 0, 0};
  METIER_ASSIGN(options.start, object.IntOr("start", 0));
  METIER_ASSIGN(options.stop, object.IntOr("stop", 0));
  return MakeStripStep(std::move(options));
}

Result<DecoderStepPtr> ParseMetaspace(const HfObject& object) {
  METIER_ASSIGN(const std::uint32_t replacement, object.Char("replacement"));
  METIER_ASSIGN(const std::string scheme, object.TextOr("prepend_scheme", "always"));
  METIER_ASSIGN(const std::optional<bool> prefix, object.MaybeBool("add_prefix_space"));
  const bool never = scheme == "never" || prefix == false;
  return MakeMetaspaceStep(CharText(replacement), never ? DropFirstMark::kNo : DropFirstMark::kYes);
}

Result<DecoderStepPtr> ParseCtc(const HfObject& object) {
  CtcOptions options;
  METIER_ASSIGN(options.pad_token, object.TextOr("pad_token", "<pad>"));
  METIER_ASSIGN(options.word_delimiter, object.TextOr("word_delimiter_token", "|"));
  METIER_ASSIGN(const bool clean_up, object.BoolOr("cleanup", true));
  options.clean_up = clean_up ? CleanUp::kYes : CleanUp::kNo;
  return MakeCtcStep(std::move(options));
}

Status Parse(const HfObject& object, std::vector<DecoderStepPtr>& steps) {
  METIER_ASSIGN(const std::string type, object.Text("type"));
  const auto add = [&](Result<DecoderStepPtr> step) -> Status {
    if (!step.ok()) return std::move(step).error();
    steps.push_back(std::move(step).value());
    return Ok();
  };
  if (type == "ByteLevel") {
    METIER_TRY(add(MakeByteMapStep()));
    return add(MakeFuseStep());
  }
  if (type == "ByteFallback") return add(MakeByteFallbackStep());
  if (type == "Fuse") return add(MakeFuseStep());
  if (type == "Strip") return add(ParseStrip(object));
  if (type == "Metaspace") return add(ParseMetaspace(object));
  if (type == "CTC") return add(ParseCtc(object));
  if (type == "Replace") {
    METIER_ASSIGN(Regex pattern, object.Pattern("pattern"));
    METIER_ASSIGN(std::string content, object.Text("content"));
    constexpr std::size_t kLongest = 256;  // it is a space, as a rule
    if (content.size() > kLongest) {
      return object.Wrong("content", fmt::format("at most {} bytes", kLongest));
    }
    return add(MakeReplaceStep(std::move(pattern), std::move(content)));
  }
  if (type == "WordPiece") {
    METIER_ASSIGN(std::string prefix, object.TextOr("prefix", "##"));
    METIER_ASSIGN(const bool clean_up, object.BoolOr("cleanup", true));
    return add(MakeWordPieceStep(std::move(prefix), clean_up ? CleanUp::kYes : CleanUp::kNo));
  }
  if (type == "BPEDecoder") {
    METIER_ASSIGN(std::string suffix, object.TextOr("suffix", "</w>"));
    return add(MakeBpeSuffixStep(std::move(suffix)));
  }
  if (type == "Sequence") {
    METIER_ASSIGN(const std::vector<HfObject> parts, object.Objects("decoders"));
    for (const HfObject& part : parts) METIER_TRY(Parse(part, steps));
    return Ok();
  }
  return object.UnknownType(type,
                            "ByteLevel, ByteFallback, Fuse, Strip, Replace, Metaspace, WordPiece, "
                            "BPEDecoder, CTC, Sequence");
}

}  // namespace

Result<std::vector<DecoderStepPtr>> ParseDecoder(const HfObject& object) {
  std::vector<DecoderStepPtr> steps;
  METIER_TRY(Parse(object, steps));
  return steps;
}

}  // namespace metier::text
