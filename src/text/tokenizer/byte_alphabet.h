// text/tokenizer/byte_alphabet.h - GPT-2's one printable character for every byte.
//
// Bytes that print in Latin-1 stand for themselves, the other 68 are U+0100, U+0101, ... in order
// of their value (Radford et al. 2019, released encoder). "Ġ" (U+0120) is the space.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace metier::text {

// The character of a byte, as UTF-8 of one or two bytes.
std::string_view ByteToAlphabet(unsigned char byte);
// The byte of a character, or -1.
int AlphabetToByte(std::uint32_t code);

std::string EncodeByteAlphabet(std::string_view bytes);
// Nothing when a character is not in the alphabet.
std::optional<std::string> DecodeByteAlphabet(std::string_view text);

}  // namespace metier::text
