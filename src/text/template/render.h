// text/template/render.h - one rendering of a chat template, marks kept.
#pragma once

#include <ctime>

#include "base/json.h"
#include "base/limits.h"
#include "base/result.h"
#include "text/chat_template.h"
#include "text/template/ast.h"
#include "text/template/marked_text.h"

namespace metier::text::jinja {

struct ParsedTemplate {
  std::string source;
  Body body;
  bool has_generation_blocks = false;
  Limits limits;
};

struct RenderRequest {
  const Json* messages = nullptr;
  std::size_t message_count = 0;  // the first so many of them
  const ChatTemplate::Tokens* tokens = nullptr;
  const RenderOptions* options = nullptr;
  bool add_generation_prompt = false;  // instead of the options' own
  std::tm now{};
};

Result<MarkedText> RenderMarked(const ParsedTemplate& parsed, const RenderRequest& request);

// Where the assistant's words lie in `full`, the rendering of `request`. See RenderWithSpans.
Result<std::vector<AssistantSpan>> FindAssistantSpans(const ParsedTemplate& parsed,
                                                      const RenderRequest& request,
                                                      const MarkedText& full);

}  // namespace metier::text::jinja
