#include <algorithm>

#include "grammar/validator/format_checks.h"
#include "grammar/validator/format_idna.h"
#include "text/tokenizer/unicode.h"

namespace metier::grammar::validator {
namespace {

constexpr std::size_t kMaxLabel = 63;
constexpr std::size_t kMaxHostname = 253;
constexpr std::size_t kMaxLocalPart = 64;

// Takes the text before the next `mark`, and steps over both; the whole rest without one.
std::string_view TakePart(std::string_view& text, char mark, bool& more) {
  const std::size_t at = text.find(mark);
  const std::string_view part = text.substr(0, at);
  more = at != std::string_view::npos;
  text = more ? text.substr(at + 1) : std::string_view();
  return part;
}

// Whether every part between dots passes.
bool EveryDottedPart(std::string_view text, bool (*passes)(std::string_view part)) {
  bool more = true;
  while (more) {
    if (!passes(TakePart(text, '.', more))) return false;
  }
  return true;
}

bool IsOctet(std::string_view text) {
  if (text.empty() || text.size() > 3 || !std::all_of(text.begin(), text.end(), IsDigit)) {
    return false;
  }
  if (text.size() > 1 && text.front() == '0') return false;
  int value = 0;
  for (const char c : text) value = value * 10 + (c - '0');
  return value <= 255;
}

bool IsHextet(std::string_view text) {
  return !text.empty() && text.size() <= 4 && std::all_of(text.begin(), text.end(), IsHexadecimal);
}

// Hextets between single colons, the last two perhaps as an IPv4 address; how many hextets they
// are, or -1. The empty text has none.
int CountHextets(std::string_view text, bool may_end_in_ipv4) {
  if (text.empty()) return 0;
  int count = 0;
  bool more = true;
  while (more) {
    const std::string_view part = TakePart(text, ':', more);
    if (IsHextet(part)) {
      ++count;
    } else if (!more && may_end_in_ipv4 && IsIpv4(part)) {
      count += 2;
    } else {
      return -1;
    }
  }
  return count;
}

bool IsBeyondAscii(char c) { return (static_cast<unsigned char>(c) & 0x80) != 0; }

// RFC 5322's atext.
bool IsAtomChar(char c) {
  return IsAlphanumeric(c) ||
         std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos;
}

bool IsAtom(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsAtomChar);
}

bool IsIdnAtom(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](char c) { return IsAtomChar(c) || IsBeyondAscii(c); });
}

// The inside of "...": printable characters, \ and " only behind a backslash.
bool IsQuotedInside(std::string_view text, bool idn) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') return false;
    if (text[i] == '\\' && ++i == text.size()) return false;
    const bool printable = text[i] >= ' ' && text[i] <= '~';
    if (!printable && !(idn && IsBeyondAscii(text[i]))) return false;
  }
  return true;
}

// A label of a domain beyond ASCII, loosely: RFC 6531 leaves the rest to whoever resolves it.
bool IsIdnLabel(std::string_view text) {
  return !text.empty() && text.front() != '-' && text.back() != '-' &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsAlphanumeric(c) || c == '-' || IsBeyondAscii(c); });
}

bool IsMailbox(std::string_view text, bool idn) {
  if (idn && text::FindInvalidUtf8(text) != std::string_view::npos) return false;
  const std::size_t at = text.rfind('@');
  if (at == std::string_view::npos) return false;
  const std::string_view local = text.substr(0, at);
  const std::string_view domain = text.substr(at + 1);
  if (local.empty() || local.size() > kMaxLocalPart) return false;
  const bool quoted = local.size() >= 2 && local.front() == '"' && local.back() == '"';
  if (quoted ? !IsQuotedInside(local.substr(1, local.size() - 2), idn)
             : !EveryDottedPart(local, idn ? &IsIdnAtom : &IsAtom)) {
    return false;
  }
  if (domain.starts_with('[') && domain.ends_with(']')) {
    const std::string_view address = domain.substr(1, domain.size() - 2);
    return address.starts_with("IPv6:") ? IsIpv6(address.substr(5)) : IsIpv4(address);
  }
  return domain.size() <= kMaxHostname && EveryDottedPart(domain, idn ? &IsIdnLabel : &IsLdhLabel);
}

}  // namespace

bool IsIpv4(std::string_view text) {
  return std::count(text.begin(), text.end(), '.') == 3 && EveryDottedPart(text, &IsOctet);
}

bool IsIpv6(std::string_view text) {
  constexpr int kHextets = 8;
  const std::size_t gap = text.find("::");
  if (gap == std::string_view::npos) return CountHextets(text, true) == kHextets;
  const int before = CountHextets(text.substr(0, gap), false);
  const int behind = CountHextets(text.substr(gap + 2), true);
  return before >= 0 && behind >= 0 && before + behind < kHextets;
}

bool IsLdhLabel(std::string_view text) {
  return !text.empty() && text.size() <= kMaxLabel && text.front() != '-' && text.back() != '-' &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsAlphanumeric(c) || c == '-'; });
}

bool IsHostname(std::string_view text) {
  return text.size() <= kMaxHostname && EveryDottedPart(text, &IsLdhLabel) && IsIdnaDomain(text);
}

bool IsEmail(std::string_view text) { return IsMailbox(text, /*idn=*/false); }

bool IsIdnEmail(std::string_view text) { return IsMailbox(text, /*idn=*/true); }

}  // namespace metier::grammar::validator
