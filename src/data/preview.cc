#include "data/preview.h"

#include "base/check.h"

namespace metier::data {

Result<std::string> Preview(const text::Tokenizer& tokenizer, std::span<const text::TokenId> ids,
                            std::span<const std::uint8_t> loss, PreviewStyle style) {
  METIER_CHECK(ids.size() == loss.size(), "one loss flag a token");
  const bool colours = style == PreviewStyle::kColours;
  std::string out;
  for (std::size_t begin = 0; begin < ids.size();) {
    std::size_t end = begin;
    while (end < ids.size() && loss[end] == loss[begin]) ++end;
    METIER_ASSIGN(const std::string text, tokenizer.Decode(ids.subspan(begin, end - begin),
                                                           text::Tokenizer::SkipSpecial::kNo));
    const bool trained = loss[begin] != 0;
    if (colours) {
      out += trained ? "\x1b[32m" : "\x1b[2m";
    } else if (trained) {
      out += "\u27E6";
    }
    out += text;
    if (colours) {
      out += "\x1b[0m";
    } else if (trained) {
      out += "\u27E7";
    }
    begin = end;
  }
  return out;
}

}  // namespace metier::data
