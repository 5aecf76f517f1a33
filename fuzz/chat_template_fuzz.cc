// Any bytes as a chat template over fixed conversations: it renders or says why not, it ends, and
// the spans it claims lie in its text.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "text/chat_template.h"

namespace {

using metier::Json;

const std::array<Json, 2>& Conversations() {
  static const std::array<Json, 2> conversations = {
      Json::parse(R"([{"role": "user", "content": "Hi <|im_end|>"},
                      {"role": "assistant", "content": "<think>x</think>Hello"},
                      {"role": "user", "content": [{"type": "text", "text": "\u00e9 \u4e2d"}]},
                      {"role": "assistant", "content": "b"}])"),
      Json::parse(R"([{"role": "system", "content": "s"}, {"role": "user", "content": ""},
                      {"role": "assistant", "content": null, "tool_calls": [{"function":
                        {"name": "f", "arguments": {"a": [1, 2.5, true, null]}}}]},
                      {"role": "tool", "content": "{}"}, {"role": "assistant", "content": "end"}])")};
  return conversations;
}

void CheckSpans(const metier::text::RenderedChat& chat) {
  std::size_t at = 0;
  for (const auto& span : chat.assistant) {
    METIER_CHECK(at <= span.begin && span.begin <= span.end && span.end <= chat.text.size(),
                 "assistant spans lie in the text, in order");
    at = span.end;
  }
  at = 0;
  for (const auto& span : chat.data) {
    METIER_CHECK(at <= span.begin && span.begin < span.end && span.end <= chat.text.size(),
                 "data spans lie in the text, in order");
    at = span.end;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  metier::Limits limits;
  limits.max_template_steps = 20'000;
  limits.max_rendered_bytes = 4 << 20;
  limits.max_string_bytes = 1 << 20;
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const auto parsed = metier::text::ChatTemplate::Parse(source, limits);
  if (!parsed.ok()) return 0;
  metier::text::RenderOptions options;
  options.tools = Json::array({Json{{"type", "function"}}});
  options.extra["n"] = 3;
  options.clock = [] { return std::tm{}; };
  for (const Json& messages : Conversations()) {
    for (const bool prompt : {false, true}) {
      options.add_generation_prompt = prompt;
      const auto chat = parsed->RenderWithSpans(messages, {"<s>", "</s>"}, options);
      if (chat.ok()) CheckSpans(*chat);
    }
  }
  return 0;
}
