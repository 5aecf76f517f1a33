// retail/rough_tokens.h - how long a text is, before there is a tokenizer.
#pragma once

#include <cstdint>
#include <string>

namespace metier::retail {

// About how many tokens a byte-level BPE of 2,000 to 4,000 entries makes of the text: words, marks
// and digits. What --tokens counts.
std::uint64_t RoughTokens(const std::string& text);

}  // namespace metier::retail
