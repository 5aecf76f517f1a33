#include <algorithm>

#include "grammar/validator/format_checks.h"
#include "text/tokenizer/unicode.h"

namespace metier::grammar::validator {
namespace {

// Which characters a URI may consist of.
enum class Alphabet { kUri, kIri };

bool IsOneOf(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }

constexpr std::string_view kSubDelims = "!$&'()*+,;=";

bool IsUnreserved(char c) { return IsAlphanumeric(c) || IsOneOf(c, "-._~"); }

// RFC 3987: ucschar, and iprivate for queries.
bool IsUcsChar(std::uint32_t c) {
  if ((c >= 0xA0 && c <= 0xD7FF) || (c >= 0xF900 && c <= 0xFDCF) || (c >= 0xFDF0 && c <= 0xFFEF)) {
    return true;
  }
  return c >= 0x10000 && c < 0xF0000 && (c & 0xFFFF) <= 0xFFFD && !(c >= 0xE0000 && c < 0xE1000);
}

bool IsPrivateUse(std::uint32_t c) {
  return (c >= 0xE000 && c <= 0xF8FF) || (c >= 0xF0000 && (c & 0xFFFF) <= 0xFFFD);
}

bool IsPercentEncoded(std::string_view text) {
  return text.size() >= 3 && text[0] == '%' && IsHexadecimal(text[1]) && IsHexadecimal(text[2]);
}

struct CharRule {
  std::string_view extra;  // beside unreserved characters, sub-delimiters and %41
  Alphabet alphabet;
  bool private_use = false;
};

bool ConsistsOf(std::string_view text, const CharRule& rule) {
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (IsUnreserved(c) || IsOneOf(c, kSubDelims) || IsOneOf(c, rule.extra)) {
      ++i;
    } else if (IsPercentEncoded(text.substr(i))) {
      i += 3;
    } else if (rule.alphabet == Alphabet::kIri) {
      const text::DecodedChar decoded = text::DecodeChar(text, i);
      const bool fits = IsUcsChar(decoded.code) || (rule.private_use && IsPrivateUse(decoded.code));
      if (!fits || decoded.code > 0x10FFFF) return false;
      i += decoded.bytes;
    } else {
      return false;
    }
  }
  return true;
}

// "[2001:db8::1]" without its brackets, or an address of the future: "v1.x".
bool IsIpLiteral(std::string_view text) {
  if (!text.starts_with('v') && !text.starts_with('V')) return IsIpv6(text);
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos || dot < 2 || dot + 1 == text.size()) return false;
  const std::string_view version = text.substr(1, dot - 1);
  const std::string_view address = text.substr(dot + 1);
  return std::all_of(version.begin(), version.end(), IsHexadecimal) &&
         std::all_of(address.begin(), address.end(),
                     [](char c) { return IsUnreserved(c) || IsOneOf(c, kSubDelims) || c == ':'; });
}

bool IsAuthority(std::string_view text, Alphabet alphabet) {
  const std::size_t at = text.find('@');
  if (at != std::string_view::npos) {
    if (!ConsistsOf(text.substr(0, at), {":", alphabet})) return false;
    text.remove_prefix(at + 1);
  }
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || !IsIpLiteral(text.substr(1, end - 1))) return false;
    port = text.substr(end + 1);
  } else {
    const std::size_t colon = text.find(':');
    if (!ConsistsOf(text.substr(0, colon), {"", alphabet})) return false;
    if (colon != std::string_view::npos) port = text.substr(colon);
  }
  return port.empty() ||
         (port.front() == ':' && std::all_of(port.begin() + 1, port.end(), IsDigit));
}

bool IsSchemeName(std::string_view text) {
  return !text.empty() && IsAlphanumeric(text.front()) && !IsDigit(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsAlphanumeric(c) || IsOneOf(c, "+-."); });
}

bool IsReference(std::string_view text, Alphabet alphabet, bool needs_scheme) {
  const std::size_t hash = text.find('#');
  if (hash != std::string_view::npos) {
    if (!ConsistsOf(text.substr(hash + 1), {":@/?", alphabet})) return false;
    text = text.substr(0, hash);
  }
  const std::size_t question = text.find('?');
  if (question != std::string_view::npos) {
    if (!ConsistsOf(text.substr(question + 1), {":@/?", alphabet, true})) return false;
    text = text.substr(0, question);
  }
  // A colon before the first slash ends a scheme: a relative path has none there.
  const std::size_t colon = text.substr(0, text.find('/')).find(':');
  if (colon != std::string_view::npos) {
    if (!IsSchemeName(text.substr(0, colon))) return false;
    text.remove_prefix(colon + 1);
  } else if (needs_scheme) {
    return false;
  }
  if (text.starts_with("//")) {
    text.remove_prefix(2);
    const std::size_t slash = text.find('/');
    if (!IsAuthority(text.substr(0, slash), alphabet)) return false;
    text = slash == std::string_view::npos ? std::string_view() : text.substr(slash);
  }
  return ConsistsOf(text, {":@/", alphabet});
}

// "var", "var:3", "var*" (RFC 6570, section 2.3 and 2.4).
bool IsTemplateVariable(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    const std::string_view length = text.substr(colon + 1);
    if (length.empty() || length.size() > 4 || length.front() == '0' ||
        !std::all_of(length.begin(), length.end(), IsDigit)) {
      return false;
    }
    text = text.substr(0, colon);
  } else if (text.ends_with('*')) {
    text.remove_suffix(1);
  }
  bool after_dot = true;  // also at the beginning: a dot stands between characters
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == '.') {
      if (after_dot) return false;
      after_dot = true;
      ++i;
      continue;
    }
    const bool percent = IsPercentEncoded(text.substr(i));
    if (!percent && !IsAlphanumeric(text[i]) && text[i] != '_') return false;
    after_dot = false;
    i += percent ? 3 : 1;
  }
  return !after_dot;
}

bool IsTemplateExpression(std::string_view text) {
  if (!text.empty() && IsOneOf(text.front(), "+#./;?&")) text.remove_prefix(1);
  for (std::size_t comma = 0; comma != std::string_view::npos;) {
    comma = text.find(',');
    if (!IsTemplateVariable(text.substr(0, comma))) return false;
    if (comma != std::string_view::npos) text.remove_prefix(comma + 1);
  }
  return true;
}

}  // namespace

bool IsUri(std::string_view text) { return IsReference(text, Alphabet::kUri, true); }

bool IsUriReference(std::string_view text) { return IsReference(text, Alphabet::kUri, false); }

bool IsIri(std::string_view text) { return IsReference(text, Alphabet::kIri, true); }

bool IsIriReference(std::string_view text) { return IsReference(text, Alphabet::kIri, false); }

bool IsUriTemplate(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == '{') {
      const std::size_t end = text.find('}', i);
      if (end == std::string_view::npos || !IsTemplateExpression(text.substr(i + 1, end - i - 1))) {
        return false;
      }
      i = end + 1;
    } else if (text[i] == '%') {
      if (!IsPercentEncoded(text.substr(i))) return false;
      i += 3;
    } else {
      const text::DecodedChar literal = text::DecodeChar(text, i);
      const bool ascii = literal.code > ' ' && literal.code < 0x7F &&
                         !IsOneOf(static_cast<char>(literal.code), "\"<>\\^`|}");
      if (!ascii && !IsUcsChar(literal.code) && !IsPrivateUse(literal.code)) return false;
      if (literal.code > 0x10FFFF) return false;
      i += literal.bytes;
    }
  }
  return true;
}

}  // namespace metier::grammar::validator
