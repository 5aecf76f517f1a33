#include "text/tokenizer/normalizer.h"

#include <utility>

#include "text/tokenizer/byte_alphabet.h"

namespace metier::text {
namespace {

// By how much replacements may lengthen a text: stops chains of them that multiply it.
constexpr std::size_t kMaxGrowth = std::size_t{256} << 20;

// Calls visit(code, bytes of the character) for each character.
template <class Visit>
void ForEachChar(std::string_view text, Visit&& visit) {
  for (std::size_t i = 0; i < text.size();) {
    const DecodedChar c = DecodeChar(text, i);
    visit(c.code, text.substr(i, c.bytes));
    i += c.bytes;
  }
}

class SequenceNormalizer : public Normalizer {
 public:
  explicit SequenceNormalizer(std::vector<NormalizerPtr> parts) : parts_(std::move(parts)) {}
  std::string Apply(std::string_view text, Scratch& scratch) const override {
    std::string out(text);
    for (const NormalizerPtr& part : parts_) {
      if (!part->Leaves(out)) out = part->Apply(out, scratch);
    }
    return out;
  }
  bool Leaves(std::string_view text) const override {
    for (const NormalizerPtr& part : parts_) {
      if (!part->Leaves(text)) return false;
    }
    return true;
  }

 private:
  std::vector<NormalizerPtr> parts_;
};

class UnicodeNormalizer : public Normalizer {
 public:
  explicit UnicodeNormalizer(NormalForm form) : form_(form) {}
  std::string Apply(std::string_view text, Scratch&) const override {
    return Normalize(text, form_);
  }
  bool Leaves(std::string_view text) const override { return IsAscii(text); }

 private:
  NormalForm form_;
};

class LowercaseNormalizer : public Normalizer {
 public:
  std::string Apply(std::string_view text, Scratch&) const override { return Lowercase(text); }
};

class BertNormalizer : public Normalizer {
 public:
  explicit BertNormalizer(BertNormalizerOptions options) : options_(options) {}
  std::string Apply(std::string_view text, Scratch&) const override {
    std::string out;
    out.reserve(text.size() + text.size() / 8);
    ForEachChar(text, [&](std::uint32_t code, std::string_view bytes) {
      if (options_.clean_text) {
        const bool space = IsWhitespace(code);
        const bool tab = code == '\t' || code == '\n' || code == '\r';
        if (code == 0 || code == 0xFFFD || (IsOther(code) && !tab)) return;
        if (space) {
          out += ' ';
          return;
        }
      }
      const bool apart = options_.handle_chinese_chars && IsBertChinese(code);
      if (apart) out += ' ';
      out += bytes;
      if (apart) out += ' ';
    });
    if (!IsAscii(out)) out = WithoutAccents(std::move(out));
    return options_.lowercase ? Lowercase(out) : out;
  }

 private:
  std::string WithoutAccents(std::string text) const {
    if (options_.accents == Accents::kKeep) return text;
    const bool base_only = options_.accents == Accents::kBaseOnly;
    if (!base_only) text = Normalize(text, NormalForm::kNfd);
    std::string out;
    ForEachChar(text, [&](std::uint32_t code, std::string_view bytes) {
      if (!base_only) {
        if (!IsNonspacingMark(code)) out += bytes;
      } else if (const std::uint32_t base = BaseCharacter(code); !IsMark(base)) {
        AppendChar(out, base);
      }
    });
    return out;
  }

  BertNormalizerOptions options_;
};

class StripNormalizer : public Normalizer {
 public:
  StripNormalizer(bool left, bool right) : left_(left), right_(right) {}
  std::string Apply(std::string_view text, Scratch&) const override {
    while (left_ && !text.empty()) {
      const DecodedChar c = DecodeChar(text, 0);
      if (!IsWhitespace(c.code)) break;
      text.remove_prefix(c.bytes);
    }
    while (right_ && !text.empty()) {
      const DecodedChar c = DecodeLastChar(text);
      if (!IsWhitespace(c.code)) break;
      text.remove_suffix(c.bytes);
    }
    return std::string(text);
  }

 private:
  bool left_;
  bool right_;
};

class StripAccentsNormalizer : public Normalizer {
 public:
  std::string Apply(std::string_view text, Scratch&) const override {
    std::string out;
    ForEachChar(text, [&](std::uint32_t code, std::string_view bytes) {
      if (!IsMark(code)) out += bytes;
    });
    return out;
  }
  bool Leaves(std::string_view text) const override { return IsAscii(text); }
};

// The rules of SentencePiece's "nmt" normalisation that are no compatibility mappings.
class NmtNormalizer : public Normalizer {
 public:
  std::string Apply(std::string_view text, Scratch&) const override {
    std::string out;
    ForEachChar(text, [&](std::uint32_t code, std::string_view bytes) {
      const bool dropped = (code >= 1 && code <= 8) || code == 0xB ||
                           (code >= 0xE && code <= 0x1F) || code == 0x7F || code == 0x8F ||
                           code == 0x9F;
      const bool space = code == 9 || code == 0xA || code == 0xC || code == 0xD || code == 0x1680 ||
                         (code >= 0x200B && code <= 0x200F) || code == 0x2028 || code == 0x2029 ||
                         code == 0x2581 || code == 0xFEFF || code == 0xFFFD;
      if (space) {
        out += ' ';
      } else if (!dropped) {
        out += bytes;
      }
    });
    return out;
  }
};

class PrependNormalizer : public Normalizer {
 public:
  explicit PrependNormalizer(std::string text) : text_(std::move(text)) {}
  std::string Apply(std::string_view text, Scratch& scratch) const override {
    if (text.empty() || scratch.continues) return std::string(text);
    return text_ + std::string(text);
  }

 private:
  std::string text_;
};

class ReplaceNormalizer : public Normalizer {
 public:
  ReplaceNormalizer(Regex pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  std::string Apply(std::string_view text, Scratch& scratch) const override {
    std::string out;
    out.reserve(text.size() + text.size() / 4);
    std::size_t begin = 0;
    Regex::Matches matches(pattern_, text);
    while (matches.Next()) {
      out += text.substr(begin, matches.begin() - begin);
      out += content_;
      begin = matches.end();
      if (out.size() <= kMaxGrowth + text.size()) continue;
      scratch.Fail(Error(ErrorCode::kResourceExhausted,
                         "normalizer: a replacement makes the text too long"));
      return {};
    }
    if (!matches.status().ok()) scratch.Fail(matches.status().error());
    out += text.substr(begin);
    return out;
  }

 private:
  Regex pattern_;
  std::string content_;
};

class ByteLevelNormalizer : public Normalizer {
 public:
  std::string Apply(std::string_view text, Scratch&) const override {
    return EncodeByteAlphabet(text);
  }
};

// The tokenizers library looks each grapheme up, if it is short, and else each of its characters;
// SentencePiece itself takes the longest entry at each place. The two differ in rare sequences,
// and tokenizer.json means the former.
class PrecompiledNormalizer : public Normalizer {
 public:
  explicit PrecompiledNormalizer(Charsmap map) : map_(std::move(map)) {}
  std::string Apply(std::string_view text, Scratch&) const override {
    constexpr std::size_t kShortGrapheme = 6;
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) {
      const std::size_t end = NextGrapheme(text, i);
      const std::string_view grapheme = text.substr(i, end - i);
      i = end;
      if (grapheme.size() < kShortGrapheme) {
        if (const auto whole = map_.Shortest(grapheme)) {
          out += *whole;
          continue;
        }
      }
      ForEachChar(grapheme, [&](std::uint32_t, std::string_view bytes) {
        const auto replacement = map_.Shortest(bytes);
        out += replacement ? *replacement : bytes;
      });
    }
    return out;
  }

 private:
  Charsmap map_;
};

class SentencePieceNormalizer : public Normalizer {
 public:
  SentencePieceNormalizer(std::optional<Charsmap> map,
                          const SentencePieceNormalizerOptions& options)
      : map_(std::move(map)),
        add_space_prefix_(options.add_space_prefix),
        merge_spaces_(options.remove_extra_whitespaces) {
    for (const std::string& text : options.user_defined) user_defined_.Insert(text, 1);
  }

  std::string Apply(std::string_view text, Scratch& scratch) const override {
    constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581
    std::string out;
    out.reserve(text.size() + text.size() / 4);
    bool prefixed = scratch.continues;
    bool in_word = scratch.continues;
    for (std::size_t i = 0; i < text.size();) {
      const Charsmap::Match match = NextUnit(text.substr(i));
      i += match.bytes;
      for (const char c : match.replacement) {
        if (c == ' ') {
          in_word = false;
          if (!merge_spaces_) out += kSpace;
          continue;
        }
        if (!in_word) {
          in_word = true;
          if ((add_space_prefix_ && !prefixed) || merge_spaces_) {
            out += kSpace;
            prefixed = true;
          }
        }
        out += c;
      }
    }
    return out;
  }

 private:
  // What stands at the beginning of the text, and what it becomes.
  Charsmap::Match NextUnit(std::string_view text) const {
    std::size_t longest = 0;
    std::uint32_t node = Trie::kRoot;
    for (std::size_t i = 0; i < text.size();) {
      node = user_defined_.Step(node, text[i]);
      if (node == Trie::kNowhere) break;
      ++i;
      if (user_defined_.Value(node) >= 0) longest = i;
    }
    if (longest > 0) return {longest, text.substr(0, longest)};
    if (map_) {
      const Charsmap::Match match = map_->Longest(text);
      if (match.bytes > 0) return match;
    }
    const std::size_t bytes = DecodeChar(text, 0).bytes;
    return {bytes, text.substr(0, bytes)};
  }

  std::optional<Charsmap> map_;
  bool add_space_prefix_;
  bool merge_spaces_;
  Trie user_defined_;
};

}  // namespace

NormalizerPtr MakeSequence(std::vector<NormalizerPtr> parts) {
  return std::make_unique<SequenceNormalizer>(std::move(parts));
}
NormalizerPtr MakeUnicodeNormalizer(NormalForm form) {
  return std::make_unique<UnicodeNormalizer>(form);
}
NormalizerPtr MakeBertNormalizer(BertNormalizerOptions options) {
  return std::make_unique<BertNormalizer>(options);
}
NormalizerPtr MakeLowercase() { return std::make_unique<LowercaseNormalizer>(); }
NormalizerPtr MakeStrip(bool left, bool right) {
  return std::make_unique<StripNormalizer>(left, right);
}
NormalizerPtr MakeStripAccents() { return std::make_unique<StripAccentsNormalizer>(); }
NormalizerPtr MakeNmt() { return std::make_unique<NmtNormalizer>(); }
NormalizerPtr MakePrepend(std::string text) {
  return std::make_unique<PrependNormalizer>(std::move(text));
}
NormalizerPtr MakeReplace(Regex pattern, std::string content) {
  return std::make_unique<ReplaceNormalizer>(std::move(pattern), std::move(content));
}
NormalizerPtr MakeByteLevelNormalizer() { return std::make_unique<ByteLevelNormalizer>(); }
NormalizerPtr MakePrecompiled(Charsmap map) {
  return std::make_unique<PrecompiledNormalizer>(std::move(map));
}
Result<NormalizerPtr> MakeSentencePieceNormalizer(const SentencePieceNormalizerOptions& options) {
  std::optional<Charsmap> map;
  if (!options.charsmap.empty()) {
    METIER_ASSIGN(map, Charsmap::Parse(options.charsmap));
  }
  return NormalizerPtr(std::make_unique<SentencePieceNormalizer>(std::move(map), options));
}

}  // namespace metier::text
