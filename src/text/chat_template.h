// text/chat_template.h - a model's Jinja chat template, rendered the same for training, evaluation
// and serving.
//
// A sandboxed interpreter of the Jinja subset that published templates use (docs/adr says which and
// why). It has no input or output, a step budget and size limits. What it does not know is an error
// that names line and construct: there is no fallback to another template.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/limits.h"
#include "base/result.h"

namespace metier::text {

struct RenderOptions {
  bool add_generation_prompt = false;
  Json tools = nullptr;  // array of {"type":"function","function":{...}}, or null
  Json documents = nullptr;
  Json extra =
      Json::object();  // further variables: enable_thinking, date_string, custom_tools, ...
};

// Bytes [begin, end) of the rendered text that a role wrote.
struct TextSpan {
  std::size_t begin = 0;
  std::size_t end = 0;
};

struct RenderedChat {
  std::string text;
  // What the assistant wrote, end-of-turn marker included: what training puts loss on. One span per
  // assistant message, found by our own renderer (no {% generation %} needed), in order, not
  // overlapping.
  std::vector<TextSpan> assistant;
};

class ChatTemplate {
 public:
  // kDataCorrupt: syntax error, with line and construct. kUnsupported: a construct outside the
  // subset.
  static Result<ChatTemplate> Parse(std::string_view source, const Limits& limits = {});

  // `bos_token` and `eos_token` are texts. messages: an array in the OpenAI form (CONVENTIONS:
  // role, content, tool_calls, tool_call_id, name). kInvalidArgument: the template raised an
  // exception, with its message.
  struct Tokens {
    std::string bos;
    std::string eos;
  };
  Result<std::string> Render(const Json& messages, const Tokens& tokens,
                             const RenderOptions& options = {}) const;

  // Render, and where the assistant's words lie. kUnsupported: the template rewrites earlier
  // messages when later ones are added in a way that leaves no contiguous assistant text (the error
  // names the message).
  Result<RenderedChat> RenderWithSpans(const Json& messages, const Tokens& tokens,
                                       const RenderOptions& options = {}) const;

  const std::string& source() const;

 private:
  struct Impl;
  explicit ChatTemplate(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

// From a Hugging Face directory: chat_template.jinja, else tokenizer_config.json's chat_template (a
// string, or a list of {name, template}: "tool_use" when tools are offered, "default" otherwise).
// kNotFound: the model has none.
enum class WithTools { kNo, kYes };
Result<ChatTemplate> LoadChatTemplate(const std::string& folder, WithTools tools,
                                      const Limits& limits = {});

}  // namespace metier::text
