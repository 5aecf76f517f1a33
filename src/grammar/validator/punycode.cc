#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "grammar/validator/format_idna.h"
#include "text/tokenizer/unicode.h"

namespace metier::grammar::validator {
namespace {

// RFC 3492, section 5.
constexpr std::uint64_t kBase = 36;
constexpr std::uint64_t kThresholdMin = 1;
constexpr std::uint64_t kThresholdMax = 26;
constexpr std::uint64_t kSkew = 38;
constexpr std::uint64_t kDamp = 700;
constexpr std::uint64_t kInitialBias = 72;
constexpr std::uint64_t kInitialCode = 128;
constexpr std::uint64_t kLastUnicode = 0x10FFFF;
// Longer than any label, and short enough for the quadratic insertion.
constexpr std::size_t kMaxPunycodeBytes = 1024;
constexpr std::uint64_t kMaxDelta = std::numeric_limits<std::uint32_t>::max();

std::uint64_t AdaptBias(std::uint64_t delta, std::uint64_t points, bool first) {
  delta = first ? delta / kDamp : delta / 2;
  delta += delta / points;
  std::uint64_t k = 0;
  for (; delta > (kBase - kThresholdMin) * kThresholdMax / 2; k += kBase) {
    delta /= kBase - kThresholdMin;
  }
  return k + (kBase - kThresholdMin + 1) * delta / (delta + kSkew);
}

std::uint64_t ThresholdAt(std::uint64_t k, std::uint64_t bias) {
  return k <= bias ? kThresholdMin : std::min(k - bias, kThresholdMax);
}

int DigitValue(char c) {
  if (c >= 'a' && c <= 'z') return c - 'a';
  if (c >= 'A' && c <= 'Z') return c - 'A';
  return c >= '0' && c <= '9' ? c - '0' + 26 : -1;
}

char DigitChar(std::uint64_t value) {
  return static_cast<char>(value < 26 ? 'a' + static_cast<int>(value)
                                      : '0' + static_cast<int>(value) - 26);
}

// One delta as digits of varying base (section 3.3).
void AppendDelta(std::uint64_t delta, std::uint64_t bias, std::string& out) {
  for (std::uint64_t k = kBase;; k += kBase) {
    const std::uint64_t threshold = ThresholdAt(k, bias);
    if (delta < threshold) break;
    out += DigitChar(threshold + (delta - threshold) % (kBase - threshold));
    delta = (delta - threshold) / (kBase - threshold);
  }
  out += DigitChar(delta);
}

std::optional<std::uint64_t> TakeDelta(std::string_view& text, std::uint64_t bias) {
  std::uint64_t delta = 0;
  std::uint64_t weight = 1;
  for (std::uint64_t k = kBase; !text.empty(); k += kBase) {
    const int digit = DigitValue(text.front());
    text.remove_prefix(1);
    if (digit < 0) return std::nullopt;
    const auto value = static_cast<std::uint64_t>(digit);
    delta += value * weight;
    const std::uint64_t threshold = ThresholdAt(k, bias);
    if (value < threshold) return delta;
    weight *= kBase - threshold;
    if (delta > kMaxDelta || weight > kMaxDelta) return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> PunycodeDecode(std::string_view encoded) {
  if (encoded.size() > kMaxPunycodeBytes || !text::IsAscii(encoded)) return std::nullopt;
  std::vector<std::uint32_t> codes;
  const std::size_t delimiter = encoded.rfind('-');
  if (delimiter != std::string_view::npos && delimiter > 0) {
    codes.assign(encoded.begin(), encoded.begin() + static_cast<std::ptrdiff_t>(delimiter));
    encoded.remove_prefix(delimiter + 1);
  }
  const std::size_t basic = codes.size();
  std::uint64_t code = kInitialCode;
  std::uint64_t at = 0;
  std::uint64_t bias = kInitialBias;
  while (!encoded.empty()) {
    const auto delta = TakeDelta(encoded, bias);
    if (!delta) return std::nullopt;
    const std::uint64_t points = codes.size() + 1;
    bias = AdaptBias(*delta, points, /*first=*/codes.size() == basic);
    code += (at + *delta) / points;
    at = (at + *delta) % points;
    if (code > kLastUnicode || (code >= 0xD800 && code <= 0xDFFF)) return std::nullopt;
    codes.insert(codes.begin() + static_cast<std::ptrdiff_t>(at), static_cast<std::uint32_t>(code));
    ++at;
  }
  std::string label;
  for (const std::uint32_t c : codes) text::AppendChar(label, c);
  return label;
}

std::optional<std::string> PunycodeEncode(std::string_view label) {
  if (label.size() > kMaxPunycodeBytes || text::FindInvalidUtf8(label) != std::string_view::npos) {
    return std::nullopt;
  }
  std::vector<std::uint32_t> codes;
  std::string out;
  for (std::size_t i = 0; i < label.size();) {
    const text::DecodedChar decoded = text::DecodeChar(label, i);
    codes.push_back(decoded.code);
    if (decoded.code < kInitialCode) out += label[i];
    i += decoded.bytes;
  }
  const std::size_t basic = out.size();
  if (basic > 0) out += '-';
  std::uint64_t code = kInitialCode;
  std::uint64_t bias = kInitialBias;
  std::uint64_t delta = 0;
  for (std::uint64_t done = basic; done < codes.size();) {
    std::uint64_t next = kLastUnicode + 1;
    for (const std::uint64_t c : codes) {
      if (c >= code) next = std::min(next, c);
    }
    delta += (next - code) * (done + 1);
    code = next;
    for (const std::uint64_t c : codes) {
      if (c < code) ++delta;
      if (c != code) continue;
      AppendDelta(delta, bias, out);
      bias = AdaptBias(delta, done + 1, /*first=*/done == basic);
      delta = 0;
      ++done;
    }
    ++delta;
    ++code;
  }
  return out;
}

}  // namespace metier::grammar::validator
