#include "text/chat_encode.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace metier::text {
namespace {

// Encodes stretch after stretch of one text.
class Pieces {
 public:
  Pieces(const Tokenizer& tokenizer, const RenderedChat& chat, std::vector<TokenId>& ids)
      : tokenizer_(tokenizer), chat_(chat), ids_(ids) {}

  // From where the last call ended up to `end`.
  Status Encode(std::size_t end) {
    if (end == at_) return Ok();
    std::vector<TextSpan> literal;
    for (const TextSpan& span : chat_.data) {
      const std::size_t from = std::max(span.begin, at_);
      const std::size_t to = std::min(span.end, end);
      if (from < to) literal.push_back({from - at_, to - at_});
    }
    text::EncodeOptions options;
    options.parse_special = ParseSpecial::kYes;
    options.literal = literal;
    if (!ids_.empty())
      options.follows = tokenizer_.IsSpecial(ids_.back()) ? Follows::kControlToken : Follows::kText;
    METIER_ASSIGN(const std::vector<TokenId> piece,
                  tokenizer_.Encode(std::string_view(chat_.text).substr(at_, end - at_), options));
    ids_.insert(ids_.end(), piece.begin(), piece.end());
    at_ = end;
    return Ok();
  }

 private:
  const Tokenizer& tokenizer_;
  const RenderedChat& chat_;
  std::vector<TokenId>& ids_;
  std::size_t at_ = 0;
};

Status NormalizeCall(Json& call) {
  if (!call.is_object())
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("a tool call: found {}, expected an object", call.type_name()));
  const auto wrapped = call.find("function");
  Json& function = wrapped != call.end() ? *wrapped : call;
  if (!function.is_object() || !function.contains("name") || !function["name"].is_string())
    return Error(ErrorCode::kInvalidArgument, "a tool call has no name");
  const auto arguments = function.find("arguments");
  if (arguments == function.end()) return Ok();
  if (arguments->is_string()) {
    auto parsed = ParseJson(arguments->get_ref<const std::string&>());
    if (!parsed.ok() || !parsed->is_object()) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("the arguments of the tool call '{}' are no JSON object",
                               function["name"].get_ref<const std::string&>()));
    }
    *arguments = *std::move(parsed);
  }
  if (!arguments->is_object())
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("the arguments of a tool call: found {}, expected an object",
                             arguments->type_name()));
  return Ok();
}

// A template that knows no tools may print a message without its calls ("None" for its content): a
// model would be trained on, or shown, an answer that nobody gave.
Status CheckCallsArePrinted(const Json& messages, const RenderedChat& chat) {
  for (const AssistantSpan& span : chat.assistant) {
    const Json& message = messages[span.message];
    const auto calls = message.find("tool_calls");
    if (calls == message.end() || calls->is_null()) continue;
    const std::string_view printed =
        std::string_view(chat.text).substr(span.begin, span.end - span.begin);
    for (const Json& call : *calls) {
      const Json& function = call.contains("function") ? call["function"] : call;
      const std::string& name = function["name"].get_ref<const std::string&>();
      if (printed.find(name) != std::string_view::npos) continue;
      return Error(ErrorCode::kUnsupported,
                   fmt::format("message {}: the chat template does not print the tool call '{}'; "
                               "choose a template that knows tools",
                               span.message, name));
    }
  }
  return Ok();
}

// Nor may the model not know what it can call.
Status CheckToolsArePrinted(const Json& tools, const RenderedChat& chat) {
  if (!tools.is_array()) return Ok();  // none, or the template has said what is wrong
  for (const Json& tool : tools) {
    const Json& function = tool.is_object() && tool.contains("function") ? tool["function"] : tool;
    if (!function.is_object() || !function.contains("name") || !function["name"].is_string())
      continue;
    const std::string& name = function["name"].get_ref<const std::string&>();
    if (chat.text.find(name) != std::string::npos) continue;
    return Error(ErrorCode::kUnsupported,
                 fmt::format("the chat template does not print the offered tool '{}'; choose a "
                             "template that knows tools, or offer none",
                             name));
  }
  return Ok();
}

}  // namespace

ChatTemplate::Tokens TemplateTokens(const Tokenizer& tokenizer) {
  const auto name = [&tokenizer](TokenId id) {
    return id < 0 ? std::string() : std::string(tokenizer.TokenName(id));
  };
  return {name(tokenizer.special().bos), name(tokenizer.special().eos)};
}

Result<Json> NormalizeMessages(const Json& messages) {
  Json normal = messages;
  if (!normal.is_array()) return normal;  // the template says what is wrong
  for (std::size_t i = 0; i < normal.size(); ++i) {
    if (!normal[i].is_object()) continue;
    const auto calls = normal[i].find("tool_calls");
    if (calls == normal[i].end() || calls->is_null()) continue;
    if (!calls->is_array())
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("message {}: tool_calls: found {}, expected an array", i,
                               calls->type_name()));
    for (Json& call : *calls) {
      if (auto status = NormalizeCall(call); !status.ok())
        return std::move(status).error().With(fmt::format("message {}", i));
    }
  }
  return normal;
}

Result<EncodedChat> EncodeChat(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                               const Json& messages, const RenderOptions& options) {
  METIER_ASSIGN(const Json normal, NormalizeMessages(messages));
  EncodedChat encoded;
  METIER_ASSIGN(encoded.chat,
                chat_template.RenderWithSpans(normal, TemplateTokens(tokenizer), options));
  METIER_TRY(CheckToolsArePrinted(options.tools, encoded.chat));
  METIER_TRY(CheckCallsArePrinted(normal, encoded.chat));
  Pieces pieces(tokenizer, encoded.chat, encoded.ids);
  for (const AssistantSpan& span : encoded.chat.assistant) {
    METIER_TRY(pieces.Encode(span.begin));
    EncodedTurn turn;
    turn.span = span;
    turn.begin = encoded.ids.size();
    METIER_TRY(pieces.Encode(span.end));
    turn.end = encoded.ids.size();
    encoded.turns.push_back(turn);
  }
  METIER_TRY(pieces.Encode(encoded.chat.text.size()));
  encoded.loss.assign(encoded.ids.size(), 0);
  for (const EncodedTurn& turn : encoded.turns)
    for (std::size_t i = turn.begin; i < turn.end; ++i) encoded.loss[i] = 1;
  return encoded;
}

}  // namespace metier::text
