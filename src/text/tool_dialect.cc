#include "text/tool_dialect.h"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace metier::text {
namespace {

constexpr std::string_view kHermesOpen = "<tool_call>";
constexpr std::string_view kHermesClose = "</tool_call>";
constexpr std::string_view kMistralOpen = "[TOOL_CALLS]";

constexpr std::array<std::pair<ToolDialect, std::string_view>, 4> kNames = {{
    {ToolDialect::kNone, "none"},
    {ToolDialect::kHermes, "hermes"},
    {ToolDialect::kLlama3, "llama3"},
    {ToolDialect::kMistral, "mistral"},
}};

Result<ToolCall> CallFromJson(const Json& json, const char* arguments_key) {
  if (!json.is_object() || !json.contains("name") || !json["name"].is_string()) {
    return Error(
        ErrorCode::kDataCorrupt,
        fmt::format("tool call: found {}, expected an object with a name", DumpCompact(json)));
  }
  ToolCall call{json["name"].get<std::string>(), Json::object()};
  if (!json.contains(arguments_key)) return call;
  call.arguments = json[arguments_key];
  if (!call.arguments.is_object()) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("tool call '{}': {} are {}, expected an object", call.name,
                             arguments_key, DumpCompact(call.arguments)));
  }
  return call;
}

Result<Reply> ParseHermes(std::string_view text) {
  Reply reply;
  std::string content;
  while (true) {
    const std::size_t open = text.find(kHermesOpen);
    content += text.substr(0, open);
    if (open == std::string_view::npos) break;
    const std::size_t begin = open + kHermesOpen.size();
    const std::size_t close = text.find(kHermesClose, begin);
    if (close == std::string_view::npos) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("tool call: {} without {}", kHermesOpen, kHermesClose));
    }
    METIER_ASSIGN(const Json json, ParseJson(text.substr(begin, close - begin)));
    METIER_ASSIGN(ToolCall call, CallFromJson(json, "arguments"));
    reply.calls.push_back(std::move(call));
    text.remove_prefix(close + kHermesClose.size());
  }
  reply.content = Trim(content);
  return reply;
}

Result<Reply> ParseLlama3(std::string_view text) {
  const std::string_view trimmed = Trim(text);
  if (!trimmed.starts_with("{")) return Reply{std::string(trimmed), {}};
  METIER_ASSIGN(const Json json, ParseJson(trimmed));
  METIER_ASSIGN(ToolCall call, CallFromJson(json, "parameters"));
  Reply reply;
  reply.calls.push_back(std::move(call));
  return reply;
}

Result<Reply> ParseMistral(std::string_view text) {
  const std::size_t open = text.find(kMistralOpen);
  Reply reply{std::string(Trim(text.substr(0, open))), {}};
  if (open == std::string_view::npos) return reply;
  METIER_ASSIGN(const Json json, ParseJson(text.substr(open + kMistralOpen.size())));
  if (!json.is_array()) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("tool calls: expected a list after {}", kMistralOpen));
  }
  for (const Json& item : json) {
    METIER_ASSIGN(ToolCall call, CallFromJson(item, "arguments"));
    reply.calls.push_back(std::move(call));
  }
  return reply;
}

}  // namespace

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::string_view ToolDialectName(ToolDialect dialect) {
  return kNames[static_cast<std::size_t>(dialect)].second;
}

Result<ToolDialect> ToolDialectFromName(std::string_view name) {
  for (const auto& [dialect, known] : kNames) {
    if (known == name) return dialect;
  }
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("tool dialect '{}': expected none, hermes, llama3 or mistral", name));
}

ToolDialect DetectToolDialect(std::string_view template_source) {
  if (template_source.find(kHermesOpen) != std::string_view::npos) return ToolDialect::kHermes;
  if (template_source.find(kMistralOpen) != std::string_view::npos) return ToolDialect::kMistral;
  // Llama 3's templates spell the call out as text, quotes escaped or not.
  if (template_source.find("\"parameters\": ") != std::string_view::npos)
    return ToolDialect::kLlama3;
  return ToolDialect::kNone;
}

Result<Reply> ParseReply(ToolDialect dialect, std::string_view text) {
  switch (dialect) {
    case ToolDialect::kHermes: return ParseHermes(text);
    case ToolDialect::kLlama3: return ParseLlama3(text);
    case ToolDialect::kMistral: return ParseMistral(text);
    case ToolDialect::kNone: break;
  }
  return Reply{std::string(Trim(text)), {}};
}

bool SameJson(const Json& a, const Json& b) {
  if (a.is_object() && b.is_object()) {
    if (a.size() != b.size()) return false;
    for (const auto& [key, value] : a.items()) {
      const auto other = b.find(key);
      if (other == b.end() || !SameJson(value, *other)) return false;
    }
    return true;
  }
  if (a.is_array() && b.is_array()) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (!SameJson(a[i], b[i])) return false;
    }
    return true;
  }
  return a == b;  // numbers compare by value
}

bool SameCall(const ToolCall& a, const ToolCall& b) {
  return a.name == b.name && SameJson(a.arguments, b.arguments);
}

}  // namespace metier::text
