// base/utf8.h - is this text UTF-8, and how do we quote a piece of it in a message.
//
// What characters are (categories, cases, normal forms) is the business of text/.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace metier {

// Byte offset of the first sequence that is not UTF-8 (truncated, overlong, a surrogate, above
// U+10FFFF), or nothing.
std::optional<std::size_t> FirstInvalidUtf8(std::string_view text);

// Text from outside, fit to stand in a message: at most max_bytes of it, cut between characters and
// then followed by
// "...", with control characters and invalid bytes as \xNN.
std::string Excerpt(std::string_view text, std::size_t max_bytes = 80);

}  // namespace metier
