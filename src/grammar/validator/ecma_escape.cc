#include "grammar/validator/ecma_escape.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "text/tokenizer/unicode.h"

namespace metier::grammar::validator {
namespace {

// ECMA-262 WhiteSpace and LineTerminator, and everything else.
constexpr std::string_view kSpaceSet =
    R"(\x{9}-\x{d}\x{20}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f})"
    R"(\x{3000}\x{feff})";
constexpr std::string_view kNoSpaceSet =
    R"(\x{0}-\x{8}\x{e}-\x{1f}\x{21}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027})"
    R"(\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{fefe}\x{ff00}-\x{10ffff})";
constexpr std::string_view kDigitSet = "0-9";
constexpr std::string_view kNoDigitSet = R"(\x{0}-\x{2f}\x{3a}-\x{10ffff})";
constexpr std::string_view kWordSet = "0-9A-Z_a-z";
constexpr std::string_view kNoWordSet =
    R"(\x{0}-\x{2f}\x{3a}-\x{40}\x{5b}-\x{5e}\x{60}\x{7b}-\x{10ffff})";

constexpr auto kSetEscapes = std::to_array<std::pair<char, std::string_view>>({
    {'d', kDigitSet},
    {'D', kNoDigitSet},
    {'w', kWordSet},
    {'W', kNoWordSet},
    {'s', kSpaceSet},
    {'S', kNoSpaceSet},
});

constexpr auto kControlEscapes = std::to_array<std::pair<char, std::uint32_t>>({
    {'t', 9},
    {'n', 10},
    {'v', 11},
    {'f', 12},
    {'r', 13},
});

// Values of General_Category by their long names and further aliases; short names stand for
// themselves.
constexpr auto kCategories = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"Cased_Letter", "L&"},
    {"Close_Punctuation", "Pe"},
    {"Combining_Mark", "M"},
    {"Connector_Punctuation", "Pc"},
    {"Control", "Cc"},
    {"Currency_Symbol", "Sc"},
    {"Dash_Punctuation", "Pd"},
    {"Decimal_Number", "Nd"},
    {"Enclosing_Mark", "Me"},
    {"Final_Punctuation", "Pf"},
    {"Format", "Cf"},
    {"Initial_Punctuation", "Pi"},
    {"LC", "L&"},
    {"Letter", "L"},
    {"Letter_Number", "Nl"},
    {"Line_Separator", "Zl"},
    {"Lowercase_Letter", "Ll"},
    {"Mark", "M"},
    {"Math_Symbol", "Sm"},
    {"Modifier_Letter", "Lm"},
    {"Modifier_Symbol", "Sk"},
    {"Nonspacing_Mark", "Mn"},
    {"Number", "N"},
    {"Open_Punctuation", "Ps"},
    {"Other", "C"},
    {"Other_Letter", "Lo"},
    {"Other_Number", "No"},
    {"Other_Punctuation", "Po"},
    {"Other_Symbol", "So"},
    {"Paragraph_Separator", "Zp"},
    {"Private_Use", "Co"},
    {"Punctuation", "P"},
    {"Separator", "Z"},
    {"Space_Separator", "Zs"},
    {"Spacing_Mark", "Mc"},
    {"Surrogate", "Cs"},
    {"Symbol", "S"},
    {"Titlecase_Letter", "Lt"},
    {"Unassigned", "Cn"},
    {"Uppercase_Letter", "Lu"},
    {"digit", "Nd"},
    {"punct", "P"},
});
constexpr auto kShortCategories = std::to_array<std::string_view>(
    {"C",  "Cc", "Cf", "Cn", "Co", "Cs", "L",  "Ll", "Lm", "Lo", "Lt", "Lu", "M",
     "Mc", "Me", "Mn", "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Pe", "Pf", "Pi",
     "Po", "Ps", "S",  "Sc", "Sk", "Sm", "So", "Z",  "Zl", "Zp", "Zs"});

// Properties that are true or false (ECMA-262, table 69), under both of their names.
constexpr auto kBinaryProperties = std::to_array<std::string_view>({"AHex",
                                                                    "ASCII_Hex_Digit",
                                                                    "Alpha",
                                                                    "Alphabetic",
                                                                    "Bidi_C",
                                                                    "Bidi_Control",
                                                                    "Bidi_M",
                                                                    "Bidi_Mirrored",
                                                                    "CI",
                                                                    "CWCF",
                                                                    "CWCM",
                                                                    "CWKCF",
                                                                    "CWL",
                                                                    "CWT",
                                                                    "CWU",
                                                                    "Case_Ignorable",
                                                                    "Cased",
                                                                    "Changes_When_Casefolded",
                                                                    "Changes_When_Casemapped",
                                                                    "Changes_When_Lowercased",
                                                                    "Changes_When_NFKC_Casefolded",
                                                                    "Changes_When_Titlecased",
                                                                    "Changes_When_Uppercased",
                                                                    "DI",
                                                                    "Dash",
                                                                    "Default_Ignorable_Code_Point",
                                                                    "Dep",
                                                                    "Deprecated",
                                                                    "Dia",
                                                                    "Diacritic",
                                                                    "EBase",
                                                                    "EComp",
                                                                    "EMod",
                                                                    "EPres",
                                                                    "Emoji",
                                                                    "Emoji_Component",
                                                                    "Emoji_Modifier",
                                                                    "Emoji_Modifier_Base",
                                                                    "Emoji_Presentation",
                                                                    "Ext",
                                                                    "ExtPict",
                                                                    "Extended_Pictographic",
                                                                    "Extender",
                                                                    "Gr_Base",
                                                                    "Gr_Ext",
                                                                    "Grapheme_Base",
                                                                    "Grapheme_Extend",
                                                                    "Hex",
                                                                    "Hex_Digit",
                                                                    "IDC",
                                                                    "IDS",
                                                                    "IDSB",
                                                                    "IDST",
                                                                    "IDS_Binary_Operator",
                                                                    "IDS_Trinary_Operator",
                                                                    "ID_Continue",
                                                                    "ID_Start",
                                                                    "Ideo",
                                                                    "Ideographic",
                                                                    "Join_C",
                                                                    "Join_Control",
                                                                    "LOE",
                                                                    "Logical_Order_Exception",
                                                                    "Lower",
                                                                    "Lowercase",
                                                                    "Math",
                                                                    "NChar",
                                                                    "Noncharacter_Code_Point",
                                                                    "Pat_Syn",
                                                                    "Pat_WS",
                                                                    "Pattern_Syntax",
                                                                    "Pattern_White_Space",
                                                                    "QMark",
                                                                    "Quotation_Mark",
                                                                    "RI",
                                                                    "Radical",
                                                                    "Regional_Indicator",
                                                                    "SD",
                                                                    "STerm",
                                                                    "Sentence_Terminal",
                                                                    "Soft_Dotted",
                                                                    "Term",
                                                                    "Terminal_Punctuation",
                                                                    "UIdeo",
                                                                    "Unified_Ideograph",
                                                                    "Upper",
                                                                    "Uppercase",
                                                                    "VS",
                                                                    "Variation_Selector",
                                                                    "White_Space",
                                                                    "XIDC",
                                                                    "XIDS",
                                                                    "XID_Continue",
                                                                    "XID_Start",
                                                                    "space"});

bool IsAsciiLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsAsciiDigit(char c) { return c >= '0' && c <= '9'; }

std::optional<std::string_view> FindCategory(std::string_view name) {
  const auto* short_name = std::find(kShortCategories.begin(), kShortCategories.end(), name);
  if (short_name != kShortCategories.end()) return *short_name;
  for (const auto& [known, category] : kCategories) {
    if (known == name) return category;
  }
  return std::nullopt;
}

// Behind \p or \P: "{Letter}", "{Script=Greek}".
Result<EscapedAtom> ReadProperty(PatternCursor& cursor, bool negated) {
  const std::size_t begin = cursor.at();
  const auto text = cursor.Accept("{") ? cursor.TakeUntil('}') : std::nullopt;
  if (!text) return cursor.Bad(begin, "\\p needs a property in braces");
  const auto in_set = [negated](std::string_view name) {
    return EscapedAtom{.set = fmt::format("\\{}{{{}}}", negated ? 'P' : 'p', name)};
  };
  const std::size_t equals = text->find('=');
  const std::string_view name = text->substr(0, equals);
  if (equals != std::string_view::npos) {
    const std::string_view value = text->substr(equals + 1);
    const bool is_word = !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
      return IsAsciiLetter(c) || IsAsciiDigit(c) || c == '_';
    });
    const auto category = FindCategory(value);
    if ((name == "General_Category" || name == "gc") && category) return in_set(*category);
    if ((name == "Script" || name == "sc") && is_word) return in_set(fmt::format("sc:{}", value));
    if ((name == "Script_Extensions" || name == "scx") && is_word) {
      return in_set(fmt::format("scx:{}", value));
    }
    return cursor.Bad(begin, fmt::format("unknown property {{{}}}", *text));
  }
  if (const auto category = FindCategory(name)) return in_set(*category);
  if (name == "Any") return EscapedAtom{.set = negated ? "\\P{Any}" : "\\p{Any}"};
  if (name == "Assigned") return EscapedAtom{.set = negated ? "\\p{Cn}" : "\\P{Cn}"};
  if (name == "ASCII") {
    return EscapedAtom{.set = negated ? "\\x{80}-\\x{10ffff}" : "\\x{0}-\\x{7f}"};
  }
  if (std::find(kBinaryProperties.begin(), kBinaryProperties.end(), name) ==
      kBinaryProperties.end()) {
    return cursor.Bad(begin, fmt::format("unknown property {{{}}}", *text));
  }
  return in_set(name);
}

// `digits` hexadecimal digits, or nothing and the cursor where it was.
std::optional<std::uint32_t> TakeHex(PatternCursor& cursor, int digits) {
  const std::size_t begin = cursor.at();
  std::uint32_t value = 0;
  for (int i = 0; i < digits; ++i) {
    const char c = cursor.Peek();
    std::uint32_t digit = 0;
    if (IsAsciiDigit(c)) {
      digit = static_cast<std::uint32_t>(c - '0');
    } else if (IsAsciiLetter(c) && (c | 0x20) <= 'f') {
      digit = static_cast<std::uint32_t>((c | 0x20) - 'a' + 10);
    } else {
      cursor.set_at(begin);
      return std::nullopt;
    }
    value = value * 16 + digit;
    cursor.Take();
  }
  return value;
}

// Behind \u: four digits, two such escapes that make a pair, or digits in braces.
Result<EscapedAtom> ReadUnicodeEscape(PatternCursor& cursor) {
  const std::size_t begin = cursor.at();
  if (cursor.Accept("{")) {
    std::uint32_t code = 0;
    bool any = false;
    while (const auto digit = TakeHex(cursor, 1)) {
      any = true;
      code = code * 16 + *digit;
      if (code > 0x10FFFF) return cursor.Bad(begin, "\\u{} above 10FFFF");
    }
    if (!any || !cursor.Accept("}")) return cursor.Bad(begin, "\\u{} needs hexadecimal digits");
    return EscapedAtom{.code = code};
  }
  const auto first = TakeHex(cursor, 4);
  if (!first) return cursor.Bad(begin, "\\u needs four hexadecimal digits");
  if (*first >= 0xD800 && *first <= 0xDBFF) {
    const std::size_t behind = cursor.at();
    const auto second = cursor.Accept("\\u") ? TakeHex(cursor, 4) : std::nullopt;
    if (second && *second >= 0xDC00 && *second <= 0xDFFF) {
      return EscapedAtom{.code = 0x10000 + ((*first - 0xD800) << 10) + (*second - 0xDC00)};
    }
    cursor.set_at(behind);
  }
  return EscapedAtom{.code = *first};
}

}  // namespace

bool PatternCursor::Accept(std::string_view expected) {
  if (!StartsWith(expected)) return false;
  at_ += expected.size();
  return true;
}

std::uint32_t PatternCursor::Take() {
  const text::DecodedChar character = text::DecodeChar(text_, at_);
  at_ += character.bytes;
  return character.code;
}

std::optional<std::uint64_t> PatternCursor::TakeNumber() {
  constexpr std::uint64_t kLargest = 1'000'000'000;
  std::optional<std::uint64_t> number;
  for (; IsAsciiDigit(Peek()); ++at_) {
    const auto digit = static_cast<std::uint64_t>(Peek() - '0');
    number = std::min(kLargest, number.value_or(0) * 10 + digit);
  }
  return number;
}

std::optional<std::string_view> PatternCursor::TakeUntil(char end) {
  const std::size_t found = text_.find(end, at_);
  if (found == std::string_view::npos) return std::nullopt;
  const std::string_view taken = text_.substr(at_, found - at_);
  at_ = found + 1;
  return taken;
}

Error PatternCursor::Bad(std::size_t at, std::string_view why) const {
  return {ErrorCode::kInvalidArgument, fmt::format("byte {}: {}", at, why)};
}

Result<EscapedAtom> ReadEscape(PatternCursor& cursor) {
  if (cursor.AtEnd()) return cursor.Bad("a backslash at the end");
  const std::size_t begin = cursor.at();
  const char c = cursor.Peek();
  const std::uint32_t code = cursor.Take();
  for (const auto& [letter, set] : kSetEscapes) {
    if (letter == c) return EscapedAtom{.set = std::string(set)};
  }
  for (const auto& [letter, control] : kControlEscapes) {
    if (letter == c) return EscapedAtom{.code = control};
  }
  switch (c) {
    case 'p': return ReadProperty(cursor, /*negated=*/false);
    case 'P': return ReadProperty(cursor, /*negated=*/true);
    case 'u': return ReadUnicodeEscape(cursor);
    case 'x': {
      const auto value = TakeHex(cursor, 2);
      if (!value) return cursor.Bad(begin, "\\x needs two hexadecimal digits");
      return EscapedAtom{.code = *value};
    }
    case 'c': {
      if (!IsAsciiLetter(cursor.Peek())) return cursor.Bad(begin, "\\c needs a letter");
      return EscapedAtom{.code = cursor.Take() % 32};
    }
    case '0':
      if (IsAsciiDigit(cursor.Peek()))
        return cursor.Bad(begin, "octal escapes are not in ECMA-262");
      return EscapedAtom{.code = 0};
    default: break;
  }
  if (IsAsciiLetter(c) || IsAsciiDigit(c)) {
    return cursor.Bad(begin, fmt::format("\\{} is no escape of ECMA-262", c));
  }
  return EscapedAtom{.code = code};
}

std::string CharacterText(std::uint32_t code) {
  const bool plain = code < 0x80 && (IsAsciiLetter(static_cast<char>(code)) ||
                                     IsAsciiDigit(static_cast<char>(code)));
  if (plain) return std::string(1, static_cast<char>(code));
  return fmt::format("\\x{{{:x}}}", code);
}

}  // namespace metier::grammar::validator
