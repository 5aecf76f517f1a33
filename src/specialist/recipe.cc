#include "specialist/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/nearest.h"
#include "specialist/stage.h"

namespace metier::specialist {
namespace {

namespace fs = std::filesystem;

// The document's own fields; `stages` stays raw because its keys are names of the user's choice.
struct Head {
  std::string name;
  std::string description;
  std::int64_t seed = 1;
  std::string base;
  std::map<std::string, std::string> inputs;
  Json stages = Json::object();

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("name", name, "names the run's folder and the specialist").Required();
    field("description", description, "one sentence for people");
    field("seed", seed, "of everything that chance plays in; ${seed}").AtLeast(0);
    field("base", base, "model to start from: a Hugging Face directory or a GGUF file; ${base}");
    field("inputs", inputs, "further files and folders by name, hashed by content; ${NAME}");
    field("stages", stages, "stages by name, run in this order").Required();
  }
};

bool IsName(const std::string& text) {
  constexpr std::size_t kLongest = 64;
  return !text.empty() && text.size() <= kLongest &&
         std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_'; });
}

Status CheckName(const std::string& place, const std::string& name) {
  if (IsName(name)) return Ok();
  return Error(
      ErrorCode::kDataCorrupt,
      fmt::format("{}: found name '{}', expected 1-64 letters, digits, '-' or '_'", place, name));
}

// Names of all references in a settings tree.
Status CollectReferences(const Json& config, std::vector<std::string>& names) {
  if (config.is_string()) {
    METIER_ASSIGN(const auto found, References(config.get_ref<const std::string&>()));
    names.insert(names.end(), found.begin(), found.end());
  } else if (config.is_structured()) {
    for (const Json& item : config) METIER_TRY(CollectReferences(item, names));
  }
  return Ok();
}

Status CheckReferences(const StageEntry& stage, const std::vector<std::string>& known) {
  std::vector<std::string> names;
  METIER_TRY(CollectReferences(stage.config, names));
  for (const std::string& name : names) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string nearest = NearestName(name, known);
    return Error(
        ErrorCode::kDataCorrupt,
        fmt::format("stages.{}: ${{{}}} is neither an input nor an earlier stage{}", stage.name,
                    name, nearest.empty() ? "" : fmt::format(": did you mean ${{{}}}?", nearest)));
  }
  return Ok();
}

Result<StageEntry> ReadStage(const std::string& name, const Json& value) {
  const std::string place = "stages." + name;
  METIER_TRY(CheckName(place, name));
  METIER_TRY(recipe::internal::CheckIsObject(place, value));
  if (value.size() != 1) {
    return Error(
        ErrorCode::kDataCorrupt,
        fmt::format("{}: found {} keys, expected one: the stage's kind", place, value.size()));
  }
  StageEntry stage{name, value.begin().key(), value.begin().value()};
  const StageKind* kind = FindStageKind(stage.kind);
  if (kind == nullptr) {
    std::vector<std::string> known;
    for (const StageKind* row : StageKinds()) known.emplace_back(row->name);
    return recipe::internal::UnknownKey(place, stage.kind, known);
  }
  if (stage.config.is_null()) stage.config = Json::object();
  METIER_TRY(kind->check(stage.config, place + "." + stage.kind));
  return stage;
}

}  // namespace

Result<Override> ParseOverride(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("override '{}': expected PLACE=VALUE, e.g. seed=2 or base=path/to/model",
                    text));
  }
  return Override{text.substr(0, equals), text.substr(equals + 1)};
}

Status ApplyOverride(Json& document, const Override& change) {
  METIER_ASSIGN(Json value, ParseYaml(change.value));
  Json* at = &document;
  std::size_t begin = 0;
  while (true) {
    const std::size_t end = change.place.find('.', begin);
    const std::string key = change.place.substr(begin, end - begin);
    if (!at->is_object() || key.empty()) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("override '{}': '{}' is not a key of a mapping", change.place, key));
    }
    at = &(*at)[key];
    if (end == std::string::npos) break;
    if (at->is_null()) *at = Json::object();
    begin = end + 1;
  }
  *at = std::move(value);
  return Ok();
}

Result<std::vector<std::string>> References(const std::string& text) {
  std::vector<std::string> names;
  for (std::size_t at = text.find("${"); at != std::string::npos; at = text.find("${", at)) {
    const std::size_t end = text.find('}', at);
    if (end == std::string::npos) {
      return Error(ErrorCode::kDataCorrupt, fmt::format("\"{}\": '${{' without its '}}'", text));
    }
    names.push_back(text.substr(at + 2, end - at - 2));
    at = end;
  }
  return names;
}

Result<Json> Substitute(const Json& config, const std::map<std::string, std::string>& values,
                        const std::string& place) {
  if (config.is_string()) {
    const auto& text = config.get_ref<const std::string&>();
    METIER_ASSIGN(const auto names, References(text));
    std::string out;
    std::size_t done = 0;
    for (const std::string& name : names) {
      const auto value = values.find(name);
      if (value == values.end()) {
        return Error(ErrorCode::kDataCorrupt,
                     fmt::format("{}: ${{{}}} names nothing", place, name));
      }
      const std::size_t at = text.find("${", done);
      out.append(text, done, at - done).append(value->second);
      done = at + name.size() + 3;
    }
    return Json(out.append(text, done));
  }
  if (!config.is_structured()) return config;
  Json result = config.is_array() ? Json::array() : Json::object();
  for (const auto& [key, item] : config.items()) {
    METIER_ASSIGN(Json value, Substitute(item, values, place));
    if (config.is_array()) {
      result.push_back(std::move(value));
    } else {
      result[key] = std::move(value);
    }
  }
  return result;
}

Result<Recipe> ParseRecipe(const Json& document, const std::string& path) {
  Head head;
  METIER_TRY(recipe::ReadFields(document, "recipe", head));
  METIER_TRY(CheckName("name", head.name));
  METIER_TRY(recipe::internal::CheckIsObject("stages", head.stages));
  Recipe recipe{.path = path,
                .folder = fs::path(path).parent_path().string(),
                .name = head.name,
                .description = head.description,
                .seed = head.seed,
                .inputs = head.inputs,
                .stages = {},
                .document = document};
  if (recipe.folder.empty()) recipe.folder = ".";
  if (!head.base.empty()) recipe.inputs["base"] = head.base;

  std::vector<std::string> known = {"out", "seed"};
  for (const auto& [name, ignored] : recipe.inputs) {
    METIER_TRY(CheckName("inputs", name));
    known.push_back(name);
  }
  for (const auto& [name, value] : head.stages.items()) {
    METIER_ASSIGN(StageEntry stage, ReadStage(name, value));
    if (std::find(known.begin(), known.end(), name) != known.end()) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("stages.{}: the name is taken by an input", name));
    }
    METIER_TRY(CheckReferences(stage, known));
    known.push_back(name);
    recipe.stages.push_back(std::move(stage));
  }
  if (recipe.stages.empty())
    return Error(ErrorCode::kDataCorrupt, "stages: found none, expected at least one");
  return recipe;
}

Result<Recipe> ReadRecipe(const std::string& path, const std::vector<Override>& overrides) {
  METIER_ASSIGN(Json document, ReadYamlFile(path));
  for (Override change : overrides) {
    const bool is_path = change.place == "base" || change.place.starts_with("inputs.");
    std::error_code ignored;
    if (is_path) change.value = fs::absolute(change.value, ignored).string();
    METIER_TRY(ApplyOverride(document, change));
  }
  auto parsed = ParseRecipe(document, path);
  if (!parsed.ok()) return std::move(parsed).error().With("'" + path + "'");
  for (auto& [name, input] : parsed->inputs) {
    std::error_code failed;
    const fs::path found = fs::canonical(fs::path(parsed->folder) / input, failed);
    if (failed) {
      return Error(ErrorCode::kNotFound,
                   fmt::format("'{}': input '{}': '{}' (relative to the recipe): {}", path, name,
                               input, failed.message()));
    }
    input = found.string();
  }
  return parsed;
}

Json RecipeSchema() {
  Json schema = recipe::SchemaOf<Head>();
  Json kinds = Json::object();
  for (const StageKind* kind : StageKinds()) {
    Json settings = kind->schema();
    settings["description"] = kind->help;
    kinds[std::string(kind->name)] = std::move(settings);
  }
  schema["properties"]["stages"] = {
      {"type", "object"},
      {"description", "stages by name, run in this order; each is one kind with its settings"},
      {"additionalProperties",
       {{"type", "object"},
        {"properties", std::move(kinds)},
        {"additionalProperties", false},
        {"minProperties", 1},
        {"maxProperties", 1}}}};
  schema["$schema"] = "https://json-schema.org/draft/2020-12/schema";
  schema["title"] = "Metier recipe";
  return schema;
}

}  // namespace metier::specialist
