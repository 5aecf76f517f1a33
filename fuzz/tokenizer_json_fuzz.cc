// tokenizer.json from anywhere: it loads or is refused, and whatever loads encodes, decodes and
// streams without a crash, and says the same way back what it says in one piece.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/json.h"
#include "text/tokenizer.h"

namespace {

using metier::text::AddSpecial;
using metier::text::ParseSpecial;
using metier::text::Tokenizer;

void RoundTrip(const Tokenizer& tokenizer, std::string_view text) {
  for (const ParseSpecial parse : {ParseSpecial::kNo, ParseSpecial::kYes}) {
    const auto ids = tokenizer.Encode(text, {AddSpecial::kNo, parse});
    if (!ids.ok()) continue;
    const auto whole = tokenizer.Decode(*ids);
    if (!whole.ok()) std::abort();
    metier::text::StreamDecoder stream(tokenizer);
    std::string streamed;
    for (const metier::text::TokenId id : *ids) streamed += stream.Add(id);
    streamed += stream.Finish();
    if (streamed != *whole) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  metier::Limits limits;
  limits.max_vocab = 1 << 16;
  const auto json = metier::ParseJson(input, limits);
  if (!json.ok()) return 0;
  const auto tokenizer = metier::text::TokenizerFromJson(*json, metier::Json(nullptr), limits);
  if (!tokenizer.ok()) return 0;
  RoundTrip(*tokenizer, "Hello, w\u00F6rld!  3.14 <s>\n\u4F60\u597D \U0001F600 the end</s> ");
  RoundTrip(*tokenizer, input.substr(0, 512));
  return 0;
}
