#include "text/chat_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "text/template/interpreter.h"
#include "text/template/parser.h"
#include "text/template/render.h"

namespace metier::text {
namespace jinja {
namespace {

bool HasGeneration(const Body& body) {
  return std::any_of(body.begin(), body.end(), [](const StatementPtr& statement) {
    if (statement->kind == Statement::Kind::kGeneration) return true;
    if (HasGeneration(statement->body) || HasGeneration(statement->otherwise)) return true;
    if (statement->macro != nullptr && HasGeneration(statement->macro->body)) return true;
    return std::any_of(statement->branches.begin(), statement->branches.end(),
                       [](const Statement::Branch& branch) { return HasGeneration(branch.body); });
  });
}

}  // namespace

Result<MarkedText> RenderBeginning(const ParsedTemplate& parsed, const RenderRequest& request,
                                   std::size_t count, bool add_generation_prompt) {
  Machine machine(parsed.limits, request.now);
  Interpreter interpreter(machine);
  const auto begin = request.messages.begin();
  METIER_ASSIGN(Value messages, MakeSequence(Sequence::Kind::kList,
                                             {begin, begin + static_cast<std::ptrdiff_t>(count)}));
  interpreter.SetVariable("messages", std::move(messages));
  interpreter.SetVariable("add_generation_prompt", add_generation_prompt);
  for (const auto& [name, value] : request.variables) interpreter.SetVariable(name, value);
  return interpreter.Run(parsed.body);
}

Result<MarkedText> RenderMarked(const ParsedTemplate& parsed, const RenderRequest& request) {
  return RenderBeginning(parsed, request, request.messages.size(), request.add_generation_prompt);
}

}  // namespace jinja

namespace {

Result<jinja::RenderRequest> RequestFor(const Json& messages, const ChatTemplate::Tokens& tokens,
                                        const RenderOptions& options) {
  if (!messages.is_array()) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("messages: found {}, expected an array", messages.type_name()));
  }
  if (!options.extra.is_object()) {
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("template variables: found {}, expected an object", options.extra.type_name()));
  }
  jinja::RenderRequest request;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (!messages[i].is_object()) {
      return Error(
          ErrorCode::kInvalidArgument,
          fmt::format("message {}: found {}, expected an object", i, messages[i].type_name()));
    }
    METIER_ASSIGN(jinja::Value message,
                  jinja::MessageFromJson(messages[i], static_cast<std::int32_t>(i)));
    request.messages.push_back(std::move(message));
  }
  request.add_generation_prompt = options.add_generation_prompt;
  request.eos = tokens.eos;
  const auto add = [&](const std::string& name, const Json& json) -> Status {
    METIER_ASSIGN(jinja::Value value, jinja::FromJson(json, jinja::kOtherSource));
    request.variables.emplace_back(name, std::move(value));
    return Ok();
  };
  METIER_TRY(add("tools", options.tools));
  METIER_TRY(add("documents", options.documents));
  request.variables.emplace_back("bos_token", jinja::Value::Plain(tokens.bos));
  request.variables.emplace_back("eos_token", jinja::Value::Plain(tokens.eos));
  for (const auto& [name, json] : options.extra.items()) METIER_TRY(add(name, json));
  if (options.clock) {
    request.now = options.clock();
  } else {
    const std::time_t now = std::time(nullptr);
    ::localtime_r(&now, &request.now);
  }
  return request;
}

// The marks of data as spans that do not overlap.
std::vector<TextSpan> DataSpans(const jinja::MarkedText& text) {
  std::vector<TextSpan> spans;
  for (const jinja::Mark& mark : text.marks)
    if (mark.kind == jinja::MarkKind::kData) spans.push_back({mark.begin, mark.end});
  std::sort(spans.begin(), spans.end(),
            [](const TextSpan& a, const TextSpan& b) { return a.begin < b.begin; });
  std::vector<TextSpan> merged;
  for (const TextSpan& span : spans) {
    if (!merged.empty() && span.begin <= merged.back().end) {
      merged.back().end = std::max(merged.back().end, span.end);
    } else {
      merged.push_back(span);
    }
  }
  return merged;
}

}  // namespace

Result<ChatTemplate> ChatTemplate::Parse(std::string_view source, const Limits& limits) {
  METIER_ASSIGN(jinja::Body body, jinja::ParseTemplate(source, limits));
  auto parsed = std::make_shared<jinja::ParsedTemplate>();
  parsed->source = source;
  parsed->has_generation_blocks = jinja::HasGeneration(body);
  parsed->body = std::move(body);
  parsed->limits = limits;
  return ChatTemplate(std::move(parsed));
}

const std::string& ChatTemplate::source() const { return parsed_->source; }

Result<std::string> ChatTemplate::Render(const Json& messages, const Tokens& tokens,
                                         const RenderOptions& options) const {
  METIER_ASSIGN(const jinja::RenderRequest request, RequestFor(messages, tokens, options));
  METIER_ASSIGN(jinja::MarkedText text, jinja::RenderMarked(*parsed_, request));
  return std::move(text.bytes);
}

Result<RenderedChat> ChatTemplate::RenderWithSpans(const Json& messages, const Tokens& tokens,
                                                   const RenderOptions& options) const {
  METIER_ASSIGN(const jinja::RenderRequest request, RequestFor(messages, tokens, options));
  METIER_ASSIGN(jinja::MarkedText text, jinja::RenderMarked(*parsed_, request));
  RenderedChat chat;
  METIER_ASSIGN(chat.assistant, jinja::FindAssistantSpans(*parsed_, request, text));
  chat.data = DataSpans(text);
  chat.text = std::move(text.bytes);
  return chat;
}

}  // namespace metier::text
