#include "text/template/python_text.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>

namespace metier::text::jinja {
namespace {

constexpr std::uint32_t kInvalidByte = 0xDC00;  // + byte, as Python's surrogateescape

utf8proc_category_t Category(std::uint32_t code_point) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code_point));
}

bool IsUpper(std::uint32_t code_point) { return Category(code_point) == UTF8PROC_CATEGORY_LU; }
bool IsLower(std::uint32_t code_point) {
  // ª and º are letters "other" that count as lower case (Other_Lowercase).
  return Category(code_point) == UTF8PROC_CATEGORY_LL || code_point == 0xAA || code_point == 0xBA;
}
bool IsCased(std::uint32_t code_point) {
  return IsUpper(code_point) || IsLower(code_point) || Category(code_point) == UTF8PROC_CATEGORY_LT;
}
bool IsAlpha(std::uint32_t code_point) {
  const auto category = Category(code_point);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}
bool IsDigit(std::uint32_t code_point) {
  // Superscripts count for isdigit() although they are not decimal.
  return Category(code_point) == UTF8PROC_CATEGORY_ND || code_point == 0xB2 || code_point == 0xB3 ||
         code_point == 0xB9 ||
         (code_point >= 0x2070 && code_point <= 0x2089 && code_point != 0x2071);
}
bool IsAlnum(std::uint32_t code_point) {
  const auto category = Category(code_point);
  return IsAlpha(code_point) || IsDigit(code_point) || category == UTF8PROC_CATEGORY_NL ||
         category == UTF8PROC_CATEGORY_NO;
}

bool IsPrintable(std::uint32_t code_point) {
  if (code_point == ' ') return true;
  switch (Category(code_point)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS: return false;
    default: return true;
  }
}

// The characters whose upper case is longer than one character (Unicode's SpecialCasing), as far as
// they are letters of a living orthography.
void AppendUpper(std::uint32_t code_point, std::string& out) {
  switch (code_point) {
    case 0xDF: out += "SS"; return;
    case 0x149: out += "\u02BCN"; return;
    case 0x1F0: out += "J\u030C"; return;
    case 0x587: out += "\u0535\u0552"; return;
    case 0xFB00: out += "FF"; return;
    case 0xFB01: out += "FI"; return;
    case 0xFB02: out += "FL"; return;
    case 0xFB03: out += "FFI"; return;
    case 0xFB04: out += "FFL"; return;
    case 0xFB05:
    case 0xFB06: out += "ST"; return;
    default:
      AppendUtf8(
          static_cast<std::uint32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(code_point))),
          out);
  }
}

void AppendTitle(std::uint32_t code_point, std::string& out) {
  switch (code_point) {
    case 0xDF: out += "Ss"; return;
    case 0xFB00: out += "Ff"; return;
    case 0xFB01: out += "Fi"; return;
    case 0xFB02: out += "Fl"; return;
    case 0xFB03: out += "Ffi"; return;
    case 0xFB04: out += "Ffl"; return;
    case 0xFB05:
    case 0xFB06: out += "St"; return;
    case 0x149:
    case 0x1F0: AppendUpper(code_point, out); return;
    case 0x587: out += "\u0535\u0582"; return;
    default:
      AppendUtf8(
          static_cast<std::uint32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(code_point))),
          out);
  }
}

// At `at` stands a capital sigma: does a word end there? Then its lower case is another letter.
bool SigmaEndsWord(std::string_view text, std::size_t at, std::size_t length) {
  return at > 0 && IsCased(DecodeBefore(text, at).value) &&
         (at + length == text.size() || !IsCased(DecodeAt(text, at + length).value));
}

void AppendLower(std::string_view text, std::size_t at, const CodePoint& c, std::string& out) {
  if (c.value == 0x3A3) {
    AppendUtf8(SigmaEndsWord(text, at, c.bytes) ? 0x3C2 : 0x3C3, out);
  } else if (c.value == 0x130) {
    out += "i\u0307";
  } else {
    AppendUtf8(static_cast<std::uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c.value))),
               out);
  }
}

bool IsLineEnd(std::uint32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

}  // namespace

CodePoint DecodeAt(std::string_view text, std::size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  if (first < 0x80) return {first, 1};
  utf8proc_int32_t value = 0;
  const auto read = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                                     static_cast<utf8proc_ssize_t>(text.size() - at), &value);
  if (read <= 0) return {kInvalidByte + first, 1};
  return {static_cast<std::uint32_t>(value), static_cast<std::size_t>(read)};
}

CodePoint DecodeBefore(std::string_view text, std::size_t end) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(4, end); ++back) {
    if ((static_cast<unsigned char>(text[end - back]) & 0xC0) == 0x80) continue;
    const CodePoint found = DecodeAt(text, end - back);
    if (found.bytes == back) return found;
    break;
  }
  return {kInvalidByte + static_cast<unsigned char>(text[end - 1]), 1};
}

void AppendUtf8(std::uint32_t code_point, std::string& out) {
  if (code_point >= kInvalidByte + 0x80 && code_point <= kInvalidByte + 0xFF) {
    out += static_cast<char>(code_point - kInvalidByte);
    return;
  }
  utf8proc_uint8_t buffer[4];
  const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), buffer);
  out.append(reinterpret_cast<const char*>(buffer), static_cast<std::size_t>(size));
}

std::size_t CountCodePoints(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); at += DecodeAt(text, at).bytes) ++count;
  return count;
}

std::vector<std::size_t> CodePointStarts(std::string_view text) {
  std::vector<std::size_t> starts;
  starts.reserve(text.size() + 1);
  for (std::size_t at = 0; at < text.size(); at += DecodeAt(text, at).bytes) starts.push_back(at);
  starts.push_back(text.size());
  return starts;
}

bool IsSpace(std::uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

ByteRange Strip(std::string_view text, StripEnds ends, std::optional<std::string_view> chars) {
  std::vector<std::uint32_t> wanted;
  if (chars) {
    for (std::size_t at = 0; at < chars->size(); at += DecodeAt(*chars, at).bytes)
      wanted.push_back(DecodeAt(*chars, at).value);
  }
  const auto goes = [&](std::uint32_t c) {
    return chars ? std::find(wanted.begin(), wanted.end(), c) != wanted.end() : IsSpace(c);
  };
  ByteRange left{0, text.size()};
  while (ends != StripEnds::kRight && left.begin < left.end) {
    const CodePoint c = DecodeAt(text, left.begin);
    if (!goes(c.value)) break;
    left.begin += c.bytes;
  }
  while (ends != StripEnds::kLeft && left.begin < left.end) {
    const CodePoint c = DecodeBefore(text, left.end);
    if (!goes(c.value)) break;
    left.end -= c.bytes;
  }
  return left;
}

std::vector<ByteRange> SplitLines(std::string_view text) {
  std::vector<ByteRange> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeAt(text, at);
    const std::size_t end = at;
    at += c.bytes;
    if (!IsLineEnd(c.value)) continue;
    if (c.value == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back({begin, end});
    begin = at;
  }
  if (begin < text.size()) lines.push_back({begin, text.size()});
  return lines;
}

std::string Upper(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeAt(text, at);
    AppendUpper(c.value, out);
    at += c.bytes;
  }
  return out;
}

std::string Lower(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeAt(text, at);
    AppendLower(text, at, c, out);
    at += c.bytes;
  }
  return out;
}

std::string Title(std::string_view text) {
  std::string out;
  bool inside = false;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeAt(text, at);
    if (inside) {
      AppendLower(text, at, c, out);
    } else {
      AppendTitle(c.value, out);
    }
    inside = IsCased(c.value);
    at += c.bytes;
  }
  return out;
}

std::string Capitalize(std::string_view text) {
  if (text.empty()) return "";
  std::string out;
  const CodePoint first = DecodeAt(text, 0);
  AppendTitle(first.value, out);
  for (std::size_t at = first.bytes; at < text.size();) {
    const CodePoint c = DecodeAt(text, at);
    AppendLower(text, at, c, out);
    at += c.bytes;
  }
  return out;
}

bool AllOf(std::string_view text, CharacterClass wanted) {
  bool cased = false;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeAt(text, at);
    at += c.bytes;
    switch (wanted) {
      case CharacterClass::kAlpha:
        if (!IsAlpha(c.value)) return false;
        break;
      case CharacterClass::kDigit:
        if (!IsDigit(c.value)) return false;
        break;
      case CharacterClass::kAlnum:
        if (!IsAlnum(c.value)) return false;
        break;
      case CharacterClass::kSpace:
        if (!IsSpace(c.value)) return false;
        break;
      case CharacterClass::kUpper:
        if (IsCased(c.value) && !IsUpper(c.value)) return false;
        cased = cased || IsUpper(c.value);
        break;
      case CharacterClass::kLower:
        if (IsCased(c.value) && !IsLower(c.value)) return false;
        cased = cased || IsLower(c.value);
        break;
    }
  }
  if (wanted == CharacterClass::kUpper || wanted == CharacterClass::kLower) return cased;
  return !text.empty();
}

std::string PythonRepr(std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const bool has_double = text.find('"') != std::string_view::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  std::string out(1, quote);
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeAt(text, at);
    if (c.value == static_cast<unsigned char>(quote) || c.value == '\\') {
      out += '\\';
      out += static_cast<char>(c.value);
    } else if (c.value == '\n') {
      out += "\\n";
    } else if (c.value == '\r') {
      out += "\\r";
    } else if (c.value == '\t') {
      out += "\\t";
    } else if (IsPrintable(c.value)) {
      out.append(text.substr(at, c.bytes));
    } else if (c.value <= 0xFF) {
      out += fmt::format("\\x{:02x}", c.value);
    } else if (c.value <= 0xFFFF) {
      out += fmt::format("\\u{:04x}", c.value);
    } else {
      out += fmt::format("\\U{:08x}", c.value);
    }
    at += c.bytes;
  }
  out += quote;
  return out;
}

}  // namespace metier::text::jinja
