#include "retail/rough_tokens.h"

#include <cctype>

namespace metier::retail {

std::uint64_t RoughTokens(const std::string& text) {
  std::uint64_t tokens = 0;
  std::size_t letters = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalpha(byte) != 0) {
      // A word of a small vocabulary is about five letters; longer ones are cut.
      if (letters++ % 5 == 0) ++tokens;
      continue;
    }
    letters = 0;
    if (std::isspace(byte) == 0) ++tokens;
  }
  return tokens;
}

}  // namespace metier::retail
