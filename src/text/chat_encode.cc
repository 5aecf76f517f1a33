#include "text/chat_encode.h"

#include <algorithm>

namespace metier::text {
namespace {

// Where the first control token begins in text[from, to), and how long it is; length 0: nowhere.
struct Hit {
  std::size_t begin = 0;
  std::size_t length = 0;
};

Hit FindControl(std::string_view text, std::size_t from, std::size_t to,
                const std::vector<std::string>& control) {
  Hit best{to, 0};
  for (const std::string& name : control) {
    const std::size_t at = text.substr(0, to).find(name, from);
    if (at < best.begin)
      best = {at, name.size()};  // the longest comes first in the list and keeps its place
  }
  return best;
}

bool Overlaps(const std::vector<TextSpan>& spans, std::size_t begin, std::size_t end) {
  return std::any_of(spans.begin(), spans.end(),
                     [&](const TextSpan& span) { return span.begin < end && begin < span.end; });
}

}  // namespace

ChatEncoder::ChatEncoder(const Tokenizer& tokenizer, const ChatTemplate& chat_template)
    : tokenizer_(tokenizer), chat_template_(chat_template) {
  const auto name = [&](TokenId id) {
    return id < 0 ? std::string() : std::string(tokenizer.TokenName(id));
  };
  tokens_ = {name(tokenizer.special().bos), name(tokenizer.special().eos)};
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.IsSpecial(id) && !tokenizer.TokenName(id).empty()) control_.push_back(name(id));
  }
  std::sort(control_.begin(), control_.end(), [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  });
}

Result<std::vector<TokenId>> ChatEncoder::EncodePart(const RenderedChat& chat, std::size_t begin,
                                                     std::size_t end) const {
  const std::string_view text = chat.text;
  bool spelled_in_data = false;
  for (std::size_t at = begin; !spelled_in_data;) {
    const Hit hit = FindControl(text, at, end, control_);
    if (hit.length == 0) break;
    spelled_in_data = Overlaps(chat.data, hit.begin, hit.begin + hit.length);
    at = hit.begin + hit.length;
  }
  const EncodeOptions trusted{.add_special = AddSpecial::kNo, .parse_special = ParseSpecial::kYes};
  if (!spelled_in_data) return tokenizer_.Encode(text.substr(begin, end - begin), trusted);

  // Control tokens of the template one by one, everything between them as plain text.
  std::vector<TokenId> ids;
  const auto append = [&](std::size_t from, std::size_t to,
                          const EncodeOptions& options) -> Status {
    METIER_ASSIGN(const auto part, tokenizer_.Encode(text.substr(from, to - from), options));
    ids.insert(ids.end(), part.begin(), part.end());
    return Ok();
  };
  std::size_t done = begin;
  for (std::size_t at = begin;;) {
    const Hit hit = FindControl(text, at, end, control_);
    if (hit.length == 0) break;
    at = hit.begin + 1;
    if (Overlaps(chat.data, hit.begin, hit.begin + hit.length)) continue;
    METIER_TRY(append(done, hit.begin, {}));
    METIER_TRY(append(hit.begin, hit.begin + hit.length, trusted));
    done = at = hit.begin + hit.length;
  }
  METIER_TRY(append(done, end, {}));
  return ids;
}

Result<EncodedChat> ChatEncoder::Encode(const Json& messages, const RenderOptions& options) const {
  METIER_ASSIGN(RenderedChat chat, chat_template_.RenderWithSpans(messages, tokens_, options));
  EncodedChat encoded;
  const auto append = [&](std::size_t begin, std::size_t end, std::uint8_t loss) -> Status {
    if (begin >= end) return Ok();
    METIER_ASSIGN(const auto ids, EncodePart(chat, begin, end));
    encoded.ids.insert(encoded.ids.end(), ids.begin(), ids.end());
    encoded.loss.resize(encoded.ids.size(), loss);
    return Ok();
  };
  std::size_t done = 0;
  for (const AssistantSpan& span : chat.assistant) {
    METIER_TRY(append(done, span.begin, 0));
    METIER_TRY(append(span.begin, span.end, 1));
    done = span.end;
  }
  METIER_TRY(append(done, chat.text.size(), 0));
  encoded.text = std::move(chat.text);
  return encoded;
}

}  // namespace metier::text
