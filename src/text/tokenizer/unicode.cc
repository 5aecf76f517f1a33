#include "text/tokenizer/unicode.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace metier::text {
namespace {

constexpr std::uint32_t kBrokenByte = 0x110000;

utf8proc_category_t Category(std::uint32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

utf8proc_option_t Options(NormalForm form) {
  const int base = UTF8PROC_STABLE;
  switch (form) {
    case NormalForm::kNfc: return static_cast<utf8proc_option_t>(base | UTF8PROC_COMPOSE);
    case NormalForm::kNfd: return static_cast<utf8proc_option_t>(base | UTF8PROC_DECOMPOSE);
    case NormalForm::kNfkc:
      return static_cast<utf8proc_option_t>(base | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
    case NormalForm::kNfkd: break;
  }
  return static_cast<utf8proc_option_t>(base | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
}

std::int32_t CombiningClass(utf8proc_int32_t code) {
  return utf8proc_get_property(code)->combining_class;
}

// Appends the normal form of a stretch that begins and ends where nothing composes across. Marks
// are ordered here and not by utf8proc_decompose, whose exchange sort is quadratic in a run of
// them.
void AppendNormalized(std::string_view text, NormalForm form, std::string& out) {
  std::vector<utf8proc_int32_t> codes;
  codes.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const DecodedChar c = DecodeChar(text, i);
    i += c.bytes;
    utf8proc_int32_t parts[32];  // the longest decomposition has 18 (U+FDFA)
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.code), parts, 32,
                                               Options(form), nullptr);
    METIER_CHECK(count >= 0 && count <= 32, "a character decomposes into at most 18");
    codes.insert(codes.end(), parts, parts + count);
  }
  for (auto run = codes.begin(); run != codes.end();) {
    const auto marked = [](utf8proc_int32_t code) { return CombiningClass(code) != 0; };
    run = std::find_if(run, codes.end(), marked);
    const auto end = std::find_if_not(run, codes.end(), marked);
    std::stable_sort(run, end, [](utf8proc_int32_t a, utf8proc_int32_t b) {
      return CombiningClass(a) < CombiningClass(b);
    });
    run = end;
  }
  const auto count = utf8proc_normalize_utf32(
      codes.data(), static_cast<utf8proc_ssize_t>(codes.size()), Options(form));
  METIER_CHECK(count >= 0, "decomposed text is valid");
  codes.resize(static_cast<std::size_t>(count));
  for (const utf8proc_int32_t code : codes) AppendChar(out, static_cast<std::uint32_t>(code));
}

}  // namespace

DecodedChar DecodeChar(std::string_view text, std::size_t offset) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[offset + i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t size = CharBytes(lead);
  if (size == 1 || offset + size > text.size()) return {kBrokenByte + lead, 1};
  for (std::size_t i = 1; i < size; ++i) {
    if (!IsContinuation(text[offset + i])) return {kBrokenByte + lead, 1};
  }
  std::uint32_t code = lead & (0xFFu >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) code = (code << 6) | (byte(i) & 0x3Fu);
  return {code, static_cast<std::uint32_t>(size)};
}

DecodedChar DecodeLastChar(std::string_view text) {
  std::size_t begin = text.size() - 1;
  for (int back = 0; back < 3 && begin > 0 && IsContinuation(text[begin]); ++back) --begin;
  const DecodedChar decoded = DecodeChar(text, begin);
  if (begin + decoded.bytes == text.size()) return decoded;
  return {kBrokenByte + static_cast<unsigned char>(text.back()), 1};
}

void AppendChar(std::string& out, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | (code >> 6));
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3F));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

std::size_t CompletePrefix(std::string_view text) {
  const std::size_t size = text.size();
  for (std::size_t back = 1; back <= 3 && back <= size; ++back) {
    const char byte = text[size - back];
    if (IsContinuation(byte)) continue;
    const bool waits = CharBytes(static_cast<unsigned char>(byte)) > back;
    return waits ? size - back : size;
  }
  return size;
}

std::size_t FindInvalidUtf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    std::uint64_t word = 0;
    if (i + 8 <= text.size()) {
      std::memcpy(&word, text.data() + i, 8);
      if ((word & 0x8080808080808080ULL) == 0) {
        i += 8;
        continue;
      }
    }
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    const DecodedChar c = DecodeChar(text, i);
    const bool overlong = (c.bytes == 3 && c.code < 0x800) || (c.bytes == 4 && c.code < 0x10000);
    const bool surrogate = c.code >= 0xD800 && c.code < 0xE000;
    if (c.code > 0x10FFFF || overlong || surrogate) return i;
    i += c.bytes;
  }
  return std::string_view::npos;
}

Status CheckUtf8(std::string_view text, std::string_view what) {
  const std::size_t bad = FindInvalidUtf8(text);
  if (bad == std::string_view::npos) return Ok();
  return Error(ErrorCode::kDataCorrupt,
               fmt::format("{}: byte {} (0x{:02x}) is not valid UTF-8", what, bad,
                           static_cast<unsigned char>(text[bad])));
}

bool IsAscii(std::string_view text) {
  std::size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + i, 8);
    if ((word & 0x8080808080808080ULL) != 0) return false;
  }
  for (; i < text.size(); ++i) {
    if (static_cast<unsigned char>(text[i]) >= 0x80) return false;
  }
  return true;
}

bool IsWhitespace(std::uint32_t code) {
  if (code < 0x80) return code == ' ' || (code >= 9 && code <= 13);
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
         code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

bool IsNumeric(std::uint32_t code) {
  if (code < 0x80) return code >= '0' && code <= '9';
  const auto category = Category(code);
  return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

bool IsPunctuation(std::uint32_t code) {
  if (code < 0x80) {
    return (code >= '!' && code <= '/') || (code >= ':' && code <= '@') ||
           (code >= '[' && code <= '`') || (code >= '{' && code <= '~');
  }
  const auto category = Category(code);
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

bool IsMark(std::uint32_t code) {
  if (code < 0x300) return false;
  const auto category = Category(code);
  return category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME;
}

bool IsNonspacingMark(std::uint32_t code) {
  return code >= 0x300 && Category(code) == UTF8PROC_CATEGORY_MN;
}

bool IsOther(std::uint32_t code) {
  if (code < 0x80) return code < 0x20 || code == 0x7F;
  return Category(code) >= UTF8PROC_CATEGORY_CC;
}

std::string_view GeneralCategory(std::uint32_t code) {
  return utf8proc_category_string(static_cast<utf8proc_int32_t>(code));
}

bool IsWord(std::uint32_t code) {
  if (code < 0x80) {
    return (code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z') || code == '_' ||
           (code >= 'a' && code <= 'z');
  }
  const auto category = Category(code);
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_ND) ||
         category == UTF8PROC_CATEGORY_NL || category == UTF8PROC_CATEGORY_PC ||
         (code >= 0x24B6 && code <= 0x24E9);  // circled letters are Alphabetic
}

bool IsBertChinese(std::uint32_t code) {
  return (code >= 0x4E00 && code <= 0x9FFF) || (code >= 0x3400 && code <= 0x4DBF) ||
         (code >= 0x20000 && code <= 0x2A6DF) || (code >= 0x2A700 && code <= 0x2B73F) ||
         (code >= 0x2B740 && code <= 0x2B81F) || (code >= 0x2B920 && code <= 0x2CEAF) ||
         (code >= 0xF900 && code <= 0xFAFF) || (code >= 0x2F800 && code <= 0x2FA1F);
}

std::string Normalize(std::string_view text, NormalForm form) {
  // Below U+0300 nothing combines with what stands before it, so any such character begins a new
  // stretch; ASCII is its own normal form in all four. Latin text copies almost everything.
  const std::uint32_t copied_below = form == NormalForm::kNfc ? 0x300 : 0x80;
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  std::size_t i = 0;
  while (i < text.size()) {
    std::size_t end = i;
    std::size_t last = i;  // where the last simple character starts: a mark may follow it
    while (end < text.size()) {
      const DecodedChar c = DecodeChar(text, end);
      if (c.code >= copied_below) break;
      last = end;
      end += c.bytes;
    }
    if (end == text.size()) last = end;
    out.append(text.substr(i, last - i));
    if (end == text.size()) break;
    std::size_t stop = end;
    while (stop < text.size()) {
      const DecodedChar c = DecodeChar(text, stop);
      if (c.code < 0x80) break;
      stop += c.bytes;
    }
    AppendNormalized(text.substr(last, stop - last), form, out);
    i = stop;
  }
  return out;
}

std::uint32_t BaseCharacter(std::uint32_t code) {
  utf8proc_int32_t parts[32];
  const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), parts, 32,
                                             Options(NormalForm::kNfd), nullptr);
  return count > 0 ? static_cast<std::uint32_t>(parts[0]) : code;
}

std::string Lowercase(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const DecodedChar c = DecodeChar(text, i);
    i += c.bytes;
    if (c.code < 0x80) {
      out += static_cast<char>(c.code >= 'A' && c.code <= 'Z' ? c.code + 32 : c.code);
    } else if (c.code == 0x130) {
      out += "i\xCC\x87";  // LATIN CAPITAL I WITH DOT ABOVE -> i + COMBINING DOT ABOVE
    } else {
      AppendChar(
          out, static_cast<std::uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c.code))));
    }
  }
  return out;
}

std::uint32_t SimpleLower(std::uint32_t code) {
  return static_cast<std::uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code)));
}

std::uint32_t SimpleUpper(std::uint32_t code) {
  return static_cast<std::uint32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(code)));
}

std::size_t NextGrapheme(std::string_view text, std::size_t begin) {
  utf8proc_int32_t state = 0;
  DecodedChar last = DecodeChar(text, begin);
  std::size_t end = begin + last.bytes;
  while (end < text.size()) {
    const DecodedChar next = DecodeChar(text, end);
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(last.code),
                                         static_cast<utf8proc_int32_t>(next.code), &state)) {
      break;
    }
    last = next;
    end += next.bytes;
  }
  return end;
}

}  // namespace metier::text
