// text/template/render.h - one rendering of a chat template, marks kept.
#pragma once

#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/limits.h"
#include "base/result.h"
#include "text/chat_template.h"
#include "text/template/ast.h"
#include "text/template/marked_text.h"
#include "text/template/value.h"

namespace metier::text::jinja {

struct ParsedTemplate {
  std::string source;
  Body body;
  bool has_generation_blocks = false;
  Limits limits;
};

// What a template is rendered with. Values are immutable, so that one request serves any number of
// renderings.
struct RenderRequest {
  std::vector<Value> messages;  // dicts
  bool add_generation_prompt = false;
  std::vector<std::pair<std::string, Value>> variables;  // all others
  std::string eos;
  std::tm now{};
};

Result<MarkedText> RenderMarked(const ParsedTemplate& parsed, const RenderRequest& request);
// Of the first `count` messages only.
Result<MarkedText> RenderBeginning(const ParsedTemplate& parsed, const RenderRequest& request,
                                   std::size_t count, bool add_generation_prompt);

// Where the assistant's words lie in `full`, the rendering of `request`. See RenderWithSpans.
Result<std::vector<AssistantSpan>> FindAssistantSpans(const ParsedTemplate& parsed,
                                                      const RenderRequest& request,
                                                      const MarkedText& full);

}  // namespace metier::text::jinja
