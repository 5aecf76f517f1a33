// metier inspect: what a model, adapter or tensor file holds.
#include <fmt/format.h>

#include <string>

#include "cli/describe.h"
#include "cli/verbs/verbs.h"

namespace metier::cli {
namespace {

struct InspectOptions {
  std::string path;
  bool tensors = false;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("PATH", path, "specialist, model or adapter directory, .gguf or .safetensors file")
        .Required();
    field("tensors", tensors, "list every tensor");
  }
};

std::string OneLine(const Json& value) {
  if (value.is_string()) {
    constexpr std::size_t kShown = 100;
    std::string text = value.get<std::string>();
    const std::size_t bytes = text.size();
    const std::size_t cut = std::min(text.find('\n'), kShown);
    if (cut < bytes) text = fmt::format("{}... ({} bytes)", text.substr(0, cut), bytes);
    return text;
  }
  return DumpPython(value);
}

// Values stand on their line; objects and lists of objects go below, indented.
void AppendText(const Json& value, const std::string& indent, std::string& text) {
  std::size_t width = 0;
  for (const auto& [key, item] : value.items()) width = std::max(width, key.size());
  for (const auto& [key, item] : value.items()) {
    const bool rows = item.is_array() && !item.empty() && item[0].is_object();
    const bool nested = item.is_object() && !item.empty() && !item.contains("length");
    if (rows) {
      text += fmt::format("{}{}\n", indent, key);
      for (const Json& row : item) {
        std::string line;
        for (const auto& [name, cell] : row.items()) {
          line += name == "name" || name == "path" ? fmt::format("  {}", OneLine(cell))
                                                   : fmt::format("  {} {}", name, OneLine(cell));
        }
        text += indent + line + "\n";
      }
    } else if (nested) {
      text += fmt::format("{}{}\n", indent, key);
      AppendText(item, indent + "  ", text);
    } else {
      text += fmt::format("{}{:<{}}  {}\n", indent, key, width, OneLine(item));
    }
  }
}

Result<Outcome> Inspect(const InspectOptions& options, Console& console) {
  METIER_ASSIGN(const Json document,
                DescribePath(options.path, options.tensors ? ListTensors::kYes : ListTensors::kNo));
  if (console.json()) {
    console.PrintJson(document);
  } else {
    std::string text;
    AppendText(document, "", text);
    console.Print(text);
  }
  return Outcome::kSuccess;
}

}  // namespace

constinit const Verb kInspectVerb = MakeVerb<InspectOptions, Inspect>(
    "inspect", "what a model, adapter or tensor file holds",
    "metier inspect models/Qwen2.5-0.5B-Instruct\nmetier inspect model.gguf --tensors --json");

}  // namespace metier::cli
