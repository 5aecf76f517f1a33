#include "text/tokenizer/charsmap.h"

#include <fmt/format.h>

#include <span>

#include "base/byte_reader.h"
#include "text/tokenizer/unicode.h"

namespace metier::text {
namespace {

// One unit of darts-clone: either a node (label, offset to its children, whether a value hangs on
// it) or, with the top bit set, a value.
bool HasLeaf(std::uint32_t unit) { return ((unit >> 8) & 1) != 0; }
std::uint32_t Value(std::uint32_t unit) { return unit & 0x7FFFFFFFu; }
std::uint32_t Label(std::uint32_t unit) { return unit & 0x800000FFu; }
std::uint32_t Offset(std::uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }

}  // namespace

Result<Charsmap> Charsmap::Parse(std::string_view bytes) {
  ByteReader reader(std::as_bytes(std::span(bytes.data(), bytes.size())));
  METIER_ASSIGN(const std::uint32_t size, reader.U32("charsmap: size of the trie"));
  if (size % 4 != 0 || size > reader.remaining()) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("charsmap: a trie of {} bytes, expected a multiple of 4 within the {} "
                             "bytes left",
                             size, reader.remaining()));
  }
  Charsmap map;
  map.units_.resize(size / 4);
  for (std::uint32_t& unit : map.units_) {
    METIER_ASSIGN(unit, reader.U32("charsmap: unit"));
  }
  METIER_ASSIGN(const std::string_view rest, reader.Text(reader.remaining(), "replacements"));
  map.replacements_ = std::string(rest);
  METIER_TRY(CheckUtf8(rest, "charsmap: replacements"));
  if (!rest.empty() && rest.back() != '\0') {
    return Error(ErrorCode::kDataCorrupt, "charsmap: the last replacement has no final zero byte");
  }
  return map;
}

// Calls visit(bytes, replacement) for each entry that begins the text, shortest first, until it
// returns false. A unit that points outside ends the walk; entries that would cut a character, of
// the text or of the replacements, are passed over, so that the result stays UTF-8.
template <class Visit>
void Charsmap::Walk(std::string_view text, Visit&& visit) const {
  if (units_.empty()) return;
  std::uint32_t node = Offset(units_[0]);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == 0) return;
    node ^= byte;
    if (node >= units_.size() || Label(units_[node]) != byte) return;
    const std::uint32_t unit = units_[node];
    node ^= Offset(unit);
    if (!HasLeaf(unit)) continue;
    if (node >= units_.size()) return;
    const std::uint32_t at = Value(units_[node]);
    if (at >= replacements_.size()) return;
    if (IsContinuation(replacements_[at]) || (i + 1 < text.size() && IsContinuation(text[i + 1]))) {
      continue;
    }
    if (!visit(i + 1, std::string_view(replacements_.c_str() + at))) return;
  }
}

Charsmap::Match Charsmap::Longest(std::string_view text) const {
  Match match;
  Walk(text, [&](std::size_t bytes, std::string_view replacement) {
    match = {bytes, replacement};
    return true;
  });
  return match;
}

std::optional<std::string_view> Charsmap::Shortest(std::string_view text) const {
  std::optional<std::string_view> found;
  Walk(text, [&](std::size_t, std::string_view replacement) {
    found = replacement;
    return false;
  });
  return found;
}

}  // namespace metier::text
