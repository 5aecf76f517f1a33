#include "grammar/validator/format_idna.h"

#include <fmt/format.h>

#include <vector>

#include "grammar/validator/ecma_regex.h"
#include "grammar/validator/format_checks.h"
#include "text/tokenizer/unicode.h"

namespace metier::grammar::validator {
namespace {

constexpr std::size_t kMaxLabelBytes = 63;
constexpr std::size_t kMaxDomainBytes = 253;
constexpr std::string_view kAcePrefix = "xn--";

// RFC 5892, section 2. Exceptions that are valid, and characters that a context rule admits.
constexpr std::string_view kValidExceptions =
    R"(\x{df}\x{3c2}\x{6fd}\x{6fe}\x{f0b}\x{3007}\x{b7}\x{375}\x{5f3}\x{5f4}\x{30fb})"
    R"(\x{660}-\x{669}\x{6f0}-\x{6f9}\x{200c}\x{200d}a-z0-9\-)";
// Exceptions that are not, old Hangul jamo, ignorable characters and blocks, unstable letters.
constexpr std::string_view kInvalid =
    R"(\x{640}\x{7fa}\x{302e}\x{302f}\x{3031}-\x{3035}\x{303b})"
    R"(\x{1100}-\x{11ff}\x{a960}-\x{a97c}\x{d7b0}-\x{d7c6}\x{d7cb}-\x{d7fb})"
    R"(\p{DI}\p{WSpace}\p{NChar}\x{20d0}-\x{20ff}\x{1d100}-\x{1d24f}\p{CWCF})";
constexpr std::string_view kLetterDigits = R"(\p{Ll}\p{Lu}\p{Lo}\p{Nd}\p{Lm}\p{Mn}\p{Mc})";

// Canonical combining class 9, of Unicode 14.
constexpr std::string_view kViramas =
    R"(\x{94d}\x{9cd}\x{a4d}\x{acd}\x{b4d}\x{bcd}\x{c4d}\x{ccd}\x{d3b}-\x{d3c}\x{d4d}\x{dca})"
    R"(\x{e3a}\x{eba}\x{f84}\x{1039}-\x{103a}\x{1714}-\x{1715}\x{1734}\x{17d2}\x{1a60}\x{1b44})"
    R"(\x{1baa}-\x{1bab}\x{1bf2}-\x{1bf3}\x{2d7f}\x{a806}\x{a82c}\x{a8c4}\x{a953}\x{a9c0})"
    R"(\x{aaf6}\x{abed}\x{10a3f}\x{11046}\x{11070}\x{1107f}\x{110b9}\x{11133}-\x{11134})"
    R"(\x{111c0}\x{11235}\x{112ea}\x{1134d}\x{11442}\x{114c2}\x{115bf}\x{1163f}\x{116b6})"
    R"(\x{1172b}\x{11839}\x{1193d}-\x{1193e}\x{119e0}\x{11a34}\x{11a47}\x{11a99}\x{11c3f})"
    R"(\x{11d44}-\x{11d45}\x{11d97})";

// Joining types (ArabicShaping.txt): transparent, to the right only, none; the rest of the joining
// scripts joins on both sides.
constexpr std::string_view kTransparent = R"((?:(?![\x{200c}\x{200d}])[\p{Mn}\p{Me}\p{Cf}]))";
constexpr std::string_view kJoinsRight =
    R"([\x{622}-\x{625}\x{627}\x{629}\x{62f}-\x{632}\x{648}\x{671}-\x{673}\x{675}-\x{677})"
    R"(\x{688}-\x{699}\x{6c0}\x{6c3}-\x{6cb}\x{6cd}\x{6cf}\x{6d2}\x{6d3}\x{6d5}\x{6ee}\x{6ef})"
    R"(\x{759}-\x{75b}\x{76b}\x{76c}\x{771}\x{773}\x{774}\x{778}\x{779}\x{870}-\x{882}\x{88e})"
    R"(\x{8aa}-\x{8ac}\x{8ae}\x{8b1}\x{8b2}\x{8b9}\x{710}\x{715}-\x{719}\x{71e}\x{728}\x{72a})"
    R"(\x{72c}\x{72f}\x{74d}\x{840}\x{846}\x{847}\x{849}\x{854}\x{856}-\x{858}])";
constexpr std::string_view kJoinsNothing = R"([\x{621}\x{674}\x{8ad}\x{1880}-\x{1884}])";
constexpr std::string_view kJoiningLetter =
    R"((?:(?=[\p{L}])[\p{sc:Arabic}\p{sc:Syriac}\p{sc:Mandaic}\p{sc:Nko}\p{sc:Mongolian})"
    R"(\p{sc:Phags_Pa}\p{sc:Manichaean}\p{sc:Psalter_Pahlavi}\p{sc:Hanifi_Rohingya})"
    R"(\p{sc:Sogdian}\p{sc:Adlam}\p{sc:Chorasmian}]))";

// RFC 5893, section 2.
constexpr std::string_view kRightToLeft =
    R"(\A(?=[\p{bc:R}\p{bc:AL}])(?!.*\p{bc:EN}.*\p{bc:AN}|.*\p{bc:AN}.*\p{bc:EN}))"
    R"([\p{bc:R}\p{bc:AL}\p{bc:AN}\p{bc:EN}\p{bc:ES}\p{bc:CS}\p{bc:ET}\p{bc:ON}\p{bc:BN})"
    R"(\p{bc:NSM}]*)"
    R"([\p{bc:R}\p{bc:AL}\p{bc:EN}\p{bc:AN}]\p{bc:NSM}*\z)";
constexpr std::string_view kLeftToRight =
    R"(\A(?=\p{bc:L})[\p{bc:L}\p{bc:EN}\p{bc:ES}\p{bc:CS}\p{bc:ET}\p{bc:ON}\p{bc:BN}\p{bc:NSM}]*)"
    R"([\p{bc:L}\p{bc:EN}]\p{bc:NSM}*\z)";

struct IdnaRules {
  EcmaRegex permitted = EcmaRegex::Native(
      fmt::format(R"(\A(?:[{}]|(?![{}])[{}])+\z)", kValidExceptions, kInvalid, kLetterDigits));
  // RFC 5892, appendix A: middle dot, keraia, geresh, katakana dot, digits of two kinds, joiners.
  EcmaRegex out_of_context = EcmaRegex::Native(fmt::format(
      R"((?<!l)\x{{b7}}|\x{{b7}}(?!l)|\x{{375}}(?!\p{{sc:Greek}}))"
      R"(|(?<!\p{{sc:Hebrew}})[\x{{5f3}}\x{{5f4}}])"
      R"(|\A(?=.*\x{{30fb}})(?!.*[\p{{sc:Hiragana}}\p{{sc:Katakana}}\p{{sc:Han}}]))"
      R"(|\A(?=.*[\x{{660}}-\x{{669}}])(?=.*[\x{{6f0}}-\x{{6f9}}])|(?<![{}])\x{{200d}})",
      kViramas));
  EcmaRegex non_joiners_fit = EcmaRegex::Native(
      fmt::format(R"(\A(?:(?!{0}|{1}){2}{3}*\x{{200c}}(?={3}*(?!{1}){2}))"
                  R"(|(?<=[{4}])\x{{200c}}|[^\x{{200c}}])*\z)",
                  kJoinsRight, kJoinsNothing, kJoiningLetter, kTransparent, kViramas));
  EcmaRegex begins_with_mark = EcmaRegex::Native(R"(\A\p{M})");
  EcmaRegex has_right_to_left = EcmaRegex::Native(R"([\p{bc:R}\p{bc:AL}\p{bc:AN}])");
  EcmaRegex bidi = EcmaRegex::Native(fmt::format("{}|{}", kRightToLeft, kLeftToRight));
};

const IdnaRules& Rules() {
  static const IdnaRules kRules;
  return kRules;
}

// A pattern that gives up decides nothing: the text is then not accepted.
bool Fits(const EcmaRegex& regex, std::string_view text) {
  const auto matches = regex.Matches(text);
  return matches.ok() && *matches;
}
bool Avoids(const EcmaRegex& regex, std::string_view text) {
  const auto matches = regex.Matches(text);
  return matches.ok() && !*matches;
}

std::string LowerAsciiLabel(std::string_view label) {
  std::string lower(label);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

// The U-label of a label: itself, or what an A-label encodes. Nothing for an A-label that is none.
std::optional<std::string> ToUnicodeLabel(std::string_view label) {
  const std::string lower = LowerAsciiLabel(label);
  if (!lower.starts_with(kAcePrefix)) return std::string(label);
  const std::string_view encoded = std::string_view(lower).substr(kAcePrefix.size());
  auto decoded = PunycodeDecode(encoded);
  if (!decoded || text::IsAscii(*decoded) || !IsUnicodeLabel(*decoded)) return std::nullopt;
  if (PunycodeEncode(*decoded) != encoded) return std::nullopt;
  return decoded;
}

// Labels of "a.b", also between the full stops of East Asian scripts.
std::vector<std::string_view> SplitLabels(std::string_view domain) {
  constexpr std::string_view kStops[] = {".", "\u3002", "\uFF0E", "\uFF61"};
  std::vector<std::string_view> labels;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < domain.size();) {
    std::size_t stop_bytes = 0;
    for (const std::string_view stop : kStops) {
      if (domain.substr(i).starts_with(stop)) stop_bytes = stop.size();
    }
    if (stop_bytes != 0) {
      labels.push_back(domain.substr(begin, i - begin));
      begin = i + stop_bytes;
    }
    i += stop_bytes != 0 ? stop_bytes : 1;
  }
  labels.push_back(domain.substr(begin));
  return labels;
}

bool LabelsAreIdna(const std::vector<std::string_view>& labels) {
  std::vector<std::string> unicode;
  bool right_to_left = false;
  for (const std::string_view label : labels) {
    auto decoded = ToUnicodeLabel(label);
    if (!decoded) return false;
    right_to_left |= Fits(Rules().has_right_to_left, *decoded);
    unicode.push_back(*std::move(decoded));
  }
  if (!right_to_left) return true;
  for (const std::string& label : unicode) {
    if (!Fits(Rules().bidi, label)) return false;
  }
  return true;
}

}  // namespace

bool IsUnicodeLabel(std::string_view label) {
  if (label.empty() || label.size() > kMaxLabelBytes * 4 ||
      text::FindInvalidUtf8(label) != std::string_view::npos) {
    return false;
  }
  if (label.front() == '-' || label.back() == '-') return false;
  if (label.size() >= 4 && label.substr(2, 2) == "--") return false;
  // Stable under NFKC also means that the label is in NFC.
  if (text::Normalize(label, text::NormalForm::kNfkc) != label) return false;
  const IdnaRules& rules = Rules();
  if (!Fits(rules.permitted, label) || !Avoids(rules.begins_with_mark, label) ||
      !Avoids(rules.out_of_context, label) || !Fits(rules.non_joiners_fit, label)) {
    return false;
  }
  const auto encoded = PunycodeEncode(label);
  return encoded && encoded->size() + kAcePrefix.size() <= kMaxLabelBytes;
}

bool IsIdnaDomain(std::string_view domain) { return LabelsAreIdna(SplitLabels(domain)); }

bool IsIdnHostname(std::string_view text) {
  const std::vector<std::string_view> labels = SplitLabels(text);
  std::size_t bytes = labels.size() - 1;
  for (const std::string_view label : labels) {
    if (label.size() > kMaxDomainBytes * 4) return false;
    if (text::IsAscii(label)) {
      const bool reserved = label.size() >= 4 && label.substr(2, 2) == "--" &&
                            !LowerAsciiLabel(label).starts_with(kAcePrefix);
      if (!IsLdhLabel(label) || reserved) return false;
      bytes += label.size();
      continue;
    }
    if (!IsUnicodeLabel(label)) return false;
    bytes += PunycodeEncode(label).value_or("").size() + kAcePrefix.size();
  }
  return bytes <= kMaxDomainBytes && LabelsAreIdna(labels);
}

}  // namespace metier::grammar::validator
