#include "model/pooling_files.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>

#include "base/file.h"
#include "base/json.h"

namespace metier::model {
namespace {

constexpr std::string_view kModules = "sentence_transformers.models.";

struct Mode {
  std::string_view key;
  Pooling pooling;
};
constexpr std::array kModes = {
    Mode{"pooling_mode_cls_token", Pooling::kCls},
    Mode{"pooling_mode_mean_tokens", Pooling::kMean},
    Mode{"pooling_mode_lasttoken", Pooling::kLast},
};

std::string TextOf(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Error Corrupt(const std::string& path, std::string_view why) {
  return Error(ErrorCode::kDataCorrupt, fmt::format("'{}': {}", path, why));
}

Status ReadModes(const std::string& path, const Limits& limits, ModelSpec& spec) {
  METIER_ASSIGN(const Json config, ReadJsonFile(path, limits));
  if (!config.is_object()) return Corrupt(path, "not a JSON object");
  for (const auto& [key, value] : config.items()) {
    if (!key.starts_with("pooling_mode_") || value != true) continue;
    Pooling named = Pooling::kNone;
    for (const Mode& mode : kModes) {
      if (key == mode.key) named = mode.pooling;
    }
    if (named == Pooling::kNone || spec.pooling != Pooling::kNone)
      return Error(ErrorCode::kUnsupported,
                   fmt::format("'{}': \"{}\"; one of cls_token, mean_tokens and lasttoken is "
                               "supported",
                               path, key));
    spec.pooling = named;
  }
  if (spec.pooling == Pooling::kNone) return Corrupt(path, "no pooling mode is true");
  return Ok();
}

}  // namespace

Status ReadPooling(const std::string& folder, const Limits& limits, ModelSpec& spec) {
  const std::string path = folder + "/modules.json";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return Ok();
  METIER_ASSIGN(const Json modules, ReadJsonFile(path, limits));
  if (!modules.is_array()) return Corrupt(path, "not a list of modules");
  for (const Json& module : modules) {
    if (!module.is_object()) return Corrupt(path, "a module is not an object");
    const std::string type = TextOf(module, "type");
    const std::string place = TextOf(module, "path");
    if (place.find("..") != std::string::npos || place.starts_with('/'))
      return Corrupt(path, fmt::format("module path '{}' leaves the folder", place));
    if (type == fmt::format("{}Pooling", kModules)) {
      METIER_TRY(ReadModes(fmt::format("{}/{}/config.json", folder, place), limits, spec));
    } else if (type == fmt::format("{}Normalize", kModules)) {
      spec.normalise_pooled = true;
    } else if (type != fmt::format("{}Transformer", kModules)) {
      return Error(ErrorCode::kUnsupported,
                   fmt::format("'{}': module type '{}'; Transformer, Pooling and Normalize are "
                               "supported",
                               path, type));
    }
  }
  return Ok();
}

Status WritePooling(const std::string& folder, const ModelSpec& spec) {
  if (spec.pooling == Pooling::kNone) {
    std::error_code ignored;
    std::filesystem::remove(folder + "/modules.json", ignored);
    return Ok();
  }
  const auto module = [](int index, const char* path, const char* type) {
    return Json{{"idx", index},
                {"name", std::to_string(index)},
                {"path", path},
                {"type", fmt::format("{}{}", kModules, type)}};
  };
  Json modules = {module(0, "", "Transformer"), module(1, "1_Pooling", "Pooling")};
  if (spec.normalise_pooled) modules.push_back(module(2, "2_Normalize", "Normalize"));
  Json pooling = {{"word_embedding_dimension", spec.width}};
  for (const Mode& mode : kModes) pooling[std::string(mode.key)] = mode.pooling == spec.pooling;
  METIER_TRY(MakeDirectories(folder + "/1_Pooling"));
  METIER_TRY(WriteFileAtomic(folder + "/1_Pooling/config.json", DumpPretty(pooling)));
  return WriteFileAtomic(folder + "/modules.json", DumpPretty(modules));
}

}  // namespace metier::model
