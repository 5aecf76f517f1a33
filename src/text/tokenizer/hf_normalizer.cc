#include "base/base64.h"
#include "text/tokenizer/hf_components.h"

namespace metier::text {
namespace {

Result<NormalizerPtr> ParseBert(const HfObject& object) {
  BertNormalizerOptions options;
  METIER_ASSIGN(options.clean_text, object.BoolOr("clean_text", true));
  METIER_ASSIGN(options.handle_chinese_chars, object.BoolOr("handle_chinese_chars", true));
  METIER_ASSIGN(options.lowercase, object.BoolOr("lowercase", true));
  METIER_ASSIGN(const bool strip, object.BoolOr("strip_accents", options.lowercase));
  options.accents = strip ? Accents::kStrip : Accents::kKeep;
  return MakeBertNormalizer(options);
}

Result<NormalizerPtr> ParsePrecompiled(const HfObject& object) {
  METIER_ASSIGN(const std::string text, object.TextOr("precompiled_charsmap", ""));
  auto bytes = DecodeBase64(text);
  if (!bytes.ok()) return std::move(bytes).error().With(object.where());
  if (bytes->empty()) return MakeSequence({});
  auto map = Charsmap::Parse(*bytes);
  if (!map.ok()) return std::move(map).error().With(object.where());
  return MakePrecompiled(std::move(map).value());
}

}  // namespace

Result<NormalizerPtr> ParseNormalizer(const HfObject& object) {
  METIER_ASSIGN(const std::string type, object.Text("type"));
  if (type == "NFC") return MakeUnicodeNormalizer(NormalForm::kNfc);
  if (type == "NFD") return MakeUnicodeNormalizer(NormalForm::kNfd);
  if (type == "NFKC") return MakeUnicodeNormalizer(NormalForm::kNfkc);
  if (type == "NFKD") return MakeUnicodeNormalizer(NormalForm::kNfkd);
  if (type == "Lowercase") return MakeLowercase();
  if (type == "StripAccents") return MakeStripAccents();
  if (type == "Nmt") return MakeNmt();
  if (type == "ByteLevel") return MakeByteLevelNormalizer();
  if (type == "BertNormalizer") return ParseBert(object);
  if (type == "Precompiled") return ParsePrecompiled(object);
  if (type == "Strip") {
    METIER_ASSIGN(const bool left, object.BoolOr("strip_left", true));
    METIER_ASSIGN(const bool right, object.BoolOr("strip_right", true));
    return MakeStrip(left, right);
  }
  if (type == "Prepend") {
    METIER_ASSIGN(std::string text, object.Text("prepend"));
    return MakePrepend(std::move(text));
  }
  if (type == "Replace") {
    METIER_ASSIGN(Regex pattern, object.Pattern("pattern"));
    METIER_ASSIGN(std::string content, object.Text("content"));
    return MakeReplace(std::move(pattern), std::move(content));
  }
  if (type == "Sequence") {
    METIER_ASSIGN(const std::vector<HfObject> objects, object.Objects("normalizers"));
    std::vector<NormalizerPtr> parts;
    for (const HfObject& part : objects) {
      METIER_ASSIGN(NormalizerPtr normalizer, ParseNormalizer(part));
      parts.push_back(std::move(normalizer));
    }
    return MakeSequence(std::move(parts));
  }
  return object.UnknownType(
      type,
      "NFC, NFD, NFKC, NFKD, BertNormalizer, ByteLevel, Precompiled, Prepend, "
      "Replace, Strip, StripAccents, Lowercase, Nmt, Sequence");
}

}  // namespace metier::text
