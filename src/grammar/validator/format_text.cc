#include <algorithm>

#include "grammar/validator/ecma_translate.h"
#include "grammar/validator/format_checks.h"

namespace metier::grammar::validator {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsHexadecimal(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool IsAlphanumeric(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool IsUuid(std::string_view text) {
  constexpr std::string_view kShape = "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh";
  return text.size() == kShape.size() &&
         std::equal(text.begin(), text.end(), kShape.begin(),
                    [](char c, char shape) { return shape == '-' ? c == '-' : IsHexadecimal(c); });
}

bool IsJsonPointer(std::string_view text) {
  if (!text.empty() && text.front() != '/') return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '~') continue;
    if (i + 1 == text.size() || (text[i + 1] != '0' && text[i + 1] != '1')) return false;
  }
  return true;
}

bool IsRelativePointer(std::string_view text) {
  const auto take_number = [&text] {
    const auto digits = static_cast<std::size_t>(
        std::find_if_not(text.begin(), text.end(), IsDigit) - text.begin());
    const bool leading_zero = digits > 1 && text.front() == '0';
    text.remove_prefix(digits);
    return digits > 0 && !leading_zero;
  };
  if (!take_number()) return false;
  // The draft that goes with 2020-12 adds steps among neighbours: "0-1", "1+2/a".
  if (text.starts_with('+') || text.starts_with('-')) {
    text.remove_prefix(1);
    if (text.starts_with('0') || !take_number()) return false;
  }
  return text == "#" || IsJsonPointer(text);
}

bool IsRegex(std::string_view text) { return IsEcmaPattern(text); }

}  // namespace metier::grammar::validator
