// text/text_span.h - a stretch of a text.
#pragma once

#include <cstddef>

namespace metier::text {

// Bytes [begin, end).
struct TextSpan {
  std::size_t begin = 0;
  std::size_t end = 0;
};

}  // namespace metier::text
