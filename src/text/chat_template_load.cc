// Chat templates of Hugging Face directories.
#include <fmt/format.h>

#include <filesystem>

#include "base/file.h"
#include "text/chat_template.h"

namespace metier::text {
namespace {

constexpr std::string_view kConfig = "tokenizer_config.json";

Error NotFound(const std::string& folder) {
  return Error(ErrorCode::kNotFound,
               fmt::format("'{}' has no chat template: found neither chat_template.jinja nor "
                           "chat_template in {}",
                           folder, kConfig));
}

// A list of {name, template}: the one for tools when tools are offered and it exists.
Result<std::string> Choose(const Json& list, WithTools tools) {
  std::string standard;
  std::string names;
  bool found = false;
  for (const Json& entry : list) {
    const auto name = entry.is_object() ? entry.find("name") : entry.end();
    const auto text = entry.is_object() ? entry.find("template") : entry.end();
    if (!entry.is_object() || name == entry.end() || !name->is_string() || text == entry.end() ||
        !text->is_string()) {
      return Error(ErrorCode::kDataCorrupt,
                   "chat_template: found a list entry without texts 'name' and 'template'");
    }
    if (*name == "tool_use" && tools == WithTools::kYes) return text->get<std::string>();
    if (*name == "default") {
      standard = text->get<std::string>();
      found = true;
    }
    names += (names.empty() ? "" : ", ") + name->get<std::string>();
  }
  if (found) return standard;
  return Error(
      ErrorCode::kNotFound,
      fmt::format("chat_template: found only the templates {}, expected 'default'", names));
}

}  // namespace

Result<ChatTemplate> LoadChatTemplate(const std::string& folder, WithTools tools,
                                      const Limits& limits) {
  namespace fs = std::filesystem;
  const std::string jinja = folder + "/chat_template.jinja";
  if (fs::exists(jinja)) {
    METIER_ASSIGN(const std::string source, ReadFile(jinja, limits.max_template_bytes));
    auto parsed = ChatTemplate::Parse(source, limits);
    if (!parsed.ok()) return std::move(parsed).error().With("'" + jinja + "'");
    return parsed;
  }
  const std::string path = folder + "/" + std::string(kConfig);
  if (!fs::exists(path)) return NotFound(folder);
  METIER_ASSIGN(const Json config, ReadJsonFile(path, limits));
  const auto entry = config.is_object() ? config.find("chat_template") : config.end();
  if (!config.is_object() || entry == config.end() || entry->is_null()) return NotFound(folder);
  std::string source;
  if (entry->is_string()) {
    source = entry->get<std::string>();
  } else if (entry->is_array()) {
    auto chosen = Choose(*entry, tools);
    if (!chosen.ok()) return std::move(chosen).error().With("'" + path + "'");
    source = *std::move(chosen);
  } else {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("'{}': chat_template: found {}, expected a text or a list", path,
                             entry->type_name()));
  }
  auto parsed = ChatTemplate::Parse(source, limits);
  if (!parsed.ok()) return std::move(parsed).error().With("'" + path + "'");
  return parsed;
}

}  // namespace metier::text
