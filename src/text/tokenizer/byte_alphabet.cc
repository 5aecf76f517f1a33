#include "text/tokenizer/byte_alphabet.h"

#include <array>

#include "text/tokenizer/unicode.h"

namespace metier::text {
namespace {

constexpr int kCodes = 0x144;  // one past the highest code: 256 + 68

struct Alphabet {
  std::array<std::string, 256> text;
  std::array<int, kCodes> byte;
};

const Alphabet& Table() {
  static const Alphabet table = [] {
    Alphabet made;
    made.byte.fill(-1);
    std::uint32_t next = 256;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const bool prints =
          (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      const std::uint32_t code = prints ? byte : next++;
      AppendChar(made.text[byte], code);
      made.byte[code] = static_cast<int>(byte);
    }
    return made;
  }();
  return table;
}

}  // namespace

std::string_view ByteToAlphabet(unsigned char byte) { return Table().text[byte]; }

int AlphabetToByte(std::uint32_t code) { return code < kCodes ? Table().byte[code] : -1; }

std::string EncodeByteAlphabet(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char byte : bytes) out += ByteToAlphabet(static_cast<unsigned char>(byte));
  return out;
}

std::optional<std::string> DecodeByteAlphabet(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const DecodedChar c = DecodeChar(text, i);
    const int byte = AlphabetToByte(c.code);
    if (byte < 0) return std::nullopt;
    out += static_cast<char>(byte);
    i += c.bytes;
  }
  return out;
}

}  // namespace metier::text
