// text/chat_template.h - a model's Jinja chat template, rendered the same for training, evaluation
// and serving.
//
// A sandboxed interpreter of the Jinja subset that published templates use (docs/adr says which and
// why). It has no input or output, a step budget and size limits. What it does not know is an error
// that names line and construct: there is no fallback to another template.
#pragma once

#include <cstddef>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/limits.h"
#include "base/result.h"
#include "text/text_span.h"

namespace metier::text {

namespace jinja {
struct ParsedTemplate;  // text/template/render.h
}

struct RenderOptions {
  bool add_generation_prompt = false;
  Json tools = nullptr;  // array of {"type":"function","function":{...}}, or null
  Json documents = nullptr;
  // Further variables: enable_thinking, date_string, custom_tools, ...
  Json extra = Json::object();
  // What strftime_now() tells: local time. Empty: the machine's clock.
  std::function<std::tm()> clock;
};

// What one assistant message became, and what training may put loss on.
//
// begin: where generation begins. When the rendering of messages[:k] with a generation prompt is a
//   prefix of the whole text, right behind it (as_served): this is what serving feeds the model.
//   Otherwise behind the generation prompt's own text where that stands before the message, else at
//   the first byte that comes from the message.
// end: behind the end-of-turn marker, which is what the model must learn to stop with: eos_token if
//   the template prints it after the message, else the last non-blank text that it prints there.
//   Blanks behind the marker ("\n" in ChatML) are not included. Where a template prints no marker,
//   the span ends with the message's own text and `closed` is false.
struct AssistantSpan : TextSpan {
  std::size_t message = 0;  // index in messages
  bool as_served = false;
  // The text up to `end` is how the conversation renders when this message is its last. False when
  // the template rewrites a turn once others follow (dropping its thinking, say).
  bool as_last = false;
  bool closed = false;
};

struct RenderedChat {
  std::string text;
  // One span per assistant message, in order, not overlapping. They come from {% generation %}
  // blocks where the template has any: those win over the rule above, which needs none.
  std::vector<AssistantSpan> assistant;
  // Bytes that come from messages, tools, documents and variables, and not from the template:
  // control tokens that are spelled there are text. In order, not overlapping. (Well-known roles
  // count as the template's own: it builds control tokens from them.)
  std::vector<TextSpan> data;
};

class ChatTemplate {
 public:
  // kDataCorrupt: syntax error, with line and construct. kUnsupported: a construct outside the
  // subset.
  static Result<ChatTemplate> Parse(std::string_view source, const Limits& limits = {});

  // `bos_token` and `eos_token` are texts. messages: an array in the OpenAI form (CONVENTIONS:
  // role, content, tool_calls, tool_call_id, name). kInvalidArgument: the template raised an
  // exception, with its message, or the conversation is not of the form that it expects.
  // kResourceExhausted: it does not end within the limits.
  struct Tokens {
    std::string bos;
    std::string eos;
  };
  Result<std::string> Render(const Json& messages, const Tokens& tokens,
                             const RenderOptions& options = {}) const;

  // Render, and where the assistant's words lie. kUnsupported: nothing of an assistant message is
  // found in the text (the error names the message). Cost: up to four renderings per assistant
  // message.
  Result<RenderedChat> RenderWithSpans(const Json& messages, const Tokens& tokens,
                                       const RenderOptions& options = {}) const;

  const std::string& source() const;

 private:
  explicit ChatTemplate(std::shared_ptr<const jinja::ParsedTemplate> parsed)
      : parsed_(std::move(parsed)) {}

  std::shared_ptr<const jinja::ParsedTemplate> parsed_;
};

// From a Hugging Face directory: chat_template.jinja, else tokenizer_config.json's chat_template (a
// string, or a list of {name, template}: "tool_use" when tools are offered, "default" otherwise).
// kNotFound: the model has none.
enum class WithTools { kNo, kYes };
Result<ChatTemplate> LoadChatTemplate(const std::string& folder, WithTools tools,
                                      const Limits& limits = {});

}  // namespace metier::text
