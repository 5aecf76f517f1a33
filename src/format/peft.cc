#include "format/peft.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/log.h"
#include "format/module_pattern.h"

namespace metier::format {
namespace {

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kA = ".lora_A.weight";
constexpr std::string_view kB = ".lora_B.weight";
constexpr std::string_view kMagnitude = ".lora_magnitude_vector";
constexpr std::string_view kRows = ".token_adapter.trainable_tokens_delta";

Error CorruptAdapter(std::string_view tensor, std::string_view why) {
  return Error(ErrorCode::kDataCorrupt, fmt::format("adapter tensor '{}': {}", tensor, why));
}

struct Pair {
  const tensor::TensorView* a = nullptr;
  const tensor::TensorView* b = nullptr;
  const tensor::TensorView* magnitude = nullptr;
};

// A refusal for tensors that belong to kinds of adapters that we do not compute.
Status CheckTensorKind(const std::string& name) {
  for (const std::string_view part :
       {".lora_embedding_A", ".lora_embedding_B", ".lora_A.bias", ".lora_B.bias"}) {
    if (name.find(part) != std::string::npos)
      return Error(
          ErrorCode::kUnsupported,
          fmt::format("adapter tensor '{}': {} is not supported; merge the adapter into its "
                      "base model with PEFT first",
                      name, part.substr(1)));
  }
  return Ok();
}

// "lm_head.weight" belongs to the module lm_head of modules_to_save.
bool IsSaved(const PeftConfig& config, std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot == name.npos) return false;
  for (const std::string& module : config.modules_to_save) {
    if (HasModuleSuffix(name.substr(0, dot), module)) return true;
  }
  return false;
}

// nullptr: none. Where the config names no module, the file names it.
const PeftTokens* TokensOf(const PeftConfig& config, std::string_view path) {
  for (const PeftTokens& one : config.token_rows) {
    if (one.module.empty() || HasModuleSuffix(path, one.module)) return &one;
  }
  return nullptr;
}

Status CheckRows(const PeftRows& rows) {
  const tensor::Shape& shape = rows.values.shape;
  const auto count = static_cast<std::int64_t>(rows.tokens.size());
  if (shape.size() == 2 && shape[0] == count && shape[1] > 0) return Ok();
  return CorruptAdapter(
      rows.path + std::string(kRows),
      fmt::format("found {}, but the config names {} tokens: [{}, width] expected",
                  tensor::FormatShape(shape), count, count));
}

Status AddRows(std::string path, const tensor::TensorView& values, PeftAdapter& adapter) {
  const PeftTokens* tokens = TokensOf(adapter.config, path);
  if (tokens == nullptr) {
    return CorruptAdapter(path + std::string(kRows),
                          "the config's trainable_token_indices do not name its module");
  }
  adapter.rows.push_back({std::move(path), tokens->tokens, values});
  return CheckRows(adapter.rows.back());
}

// PEFT leaves out the rows of a module that is tied to another one with the same tokens.
Status CheckAllRowsAreThere(const PeftAdapter& adapter) {
  for (const PeftTokens& one : adapter.config.token_rows) {
    const bool found = std::ranges::any_of(
        adapter.rows, [&](const PeftRows& rows) { return rows.tokens == one.tokens; });
    if (!found) {
      return Error(
          ErrorCode::kDataCorrupt,
          fmt::format("adapter: no rows \"...{}\" for the {} tokens that the config "
                      "names{}{}",
                      kRows, one.tokens.size(), one.module.empty() ? "" : " of ", one.module));
    }
  }
  return Ok();
}

Status Sort(const SafetensorsFile& file, PeftAdapter& adapter, std::map<std::string, Pair>& pairs) {
  for (const std::string& name : file.Names()) {
    METIER_TRY(CheckTensorKind(name));
    if (!name.starts_with(kPrefix))
      return CorruptAdapter(name, fmt::format("names start with \"{}\"", kPrefix));
    const std::string path = name.substr(kPrefix.size());
    if (path.ends_with(kA) && path.size() > kA.size()) {
      pairs[path.substr(0, path.size() - kA.size())].a = file.Find(name);
    } else if (path.ends_with(kB) && path.size() > kB.size()) {
      pairs[path.substr(0, path.size() - kB.size())].b = file.Find(name);
    } else if (path.ends_with(kMagnitude) && path.size() > kMagnitude.size()) {
      pairs[path.substr(0, path.size() - kMagnitude.size())].magnitude = file.Find(name);
    } else if (path.ends_with(kRows) && path.size() > kRows.size()) {
      METIER_TRY(AddRows(path.substr(0, path.size() - kRows.size()), *file.Find(name), adapter));
    } else if (IsSaved(adapter.config, path)) {
      adapter.saved.push_back({path, *file.Find(name)});
    } else {
      return CorruptAdapter(name, fmt::format("neither \"...{}\", \"...{}\" nor a weight of "
                                              "modules_to_save",
                                              kA, kB));
    }
  }
  return CheckAllRowsAreThere(adapter);
}

Status CheckPair(const PeftConfig& config, const std::string& path, const Pair& pair) {
  if (pair.a == nullptr && pair.b == nullptr)
    return CorruptAdapter(path, "has a lora_magnitude_vector, but neither lora_A nor lora_B");
  if (pair.a == nullptr || pair.b == nullptr) {
    return CorruptAdapter(path,
                          fmt::format("has lora_{} but no lora_{}", pair.a != nullptr ? "A" : "B",
                                      pair.a != nullptr ? "B" : "A"));
  }
  const std::int64_t rank = config.RankOf(path);
  if (pair.a->shape.size() != 2 || pair.b->shape.size() != 2 || pair.a->shape[0] != rank ||
      pair.b->shape[1] != rank || pair.a->shape[1] < 1 || pair.b->shape[0] < 1) {
    return CorruptAdapter(
        path, fmt::format("A {} and B {}, but the config gives rank {}: [{}, in] and "
                          "[out, {}] expected",
                          tensor::FormatShape(pair.a->shape), tensor::FormatShape(pair.b->shape),
                          rank, rank, rank));
  }
  if (config.dora != (pair.magnitude != nullptr)) {
    return CorruptAdapter(
        path, fmt::format("{} with \"use_dora\": {}",
                          config.dora ? "no lora_magnitude_vector" : "a lora_magnitude_vector",
                          config.dora));
  }
  if (!config.dora || pair.magnitude->shape == tensor::Shape{pair.b->shape[0]}) return Ok();
  return CorruptAdapter(path,
                        fmt::format("lora_magnitude_vector {}, expected [{}]",
                                    tensor::FormatShape(pair.magnitude->shape), pair.b->shape[0]));
}

}  // namespace

Result<PeftAdapter> OpenPeftAdapter(const std::string& folder, const Limits& limits) {
  const std::string config_path = folder + "/adapter_config.json";
  METIER_ASSIGN(const Json document, ReadJsonFile(config_path, limits));
  auto config = ParsePeftConfig(document);
  if (!config.ok()) return std::move(config).error().With("'" + config_path + "'");
  PeftAdapter adapter;
  adapter.config = std::move(*config);
  if (!adapter.config.unknown_keys.empty()) {
    LogWarning(fmt::format("'{}': unknown keys are kept but have no effect: {}", config_path,
                           fmt::join(adapter.config.unknown_keys, ", ")));
  }
  const std::string tensors_path = folder + "/adapter_model.safetensors";
  METIER_ASSIGN(SafetensorsFile file, SafetensorsFile::Open(tensors_path, limits));
  adapter.source = std::make_shared<const SafetensorsFile>(std::move(file));
  std::map<std::string, Pair> pairs;
  auto sorted = Sort(*adapter.source, adapter, pairs);
  if (!sorted.ok()) return std::move(sorted).error().With("'" + tensors_path + "'");
  for (const auto& [path, pair] : pairs) {
    auto checked = CheckPair(adapter.config, path, pair);
    if (!checked.ok()) return std::move(checked).error().With("'" + tensors_path + "'");
    adapter.modules.push_back({path, *pair.a, *pair.b, adapter.config.ScaleOf(path)});
    if (pair.magnitude != nullptr) adapter.modules.back().magnitude = *pair.magnitude;
  }
  if (adapter.modules.empty() && adapter.saved.empty() && adapter.rows.empty())
    return Error(ErrorCode::kDataCorrupt, fmt::format("'{}': no adapter tensors", tensors_path));
  return adapter;
}

Status WritePeftAdapter(const std::string& folder, const PeftConfig& config,
                        const std::vector<PeftModule>& modules,
                        const std::vector<NamedTensor>& saved, const std::vector<PeftRows>& rows) {
  std::vector<NamedTensor> tensors;
  for (const PeftModule& module : modules) {
    METIER_TRY(CheckPair(config, module.path,
                         {&module.a, &module.b, module.magnitude ? &*module.magnitude : nullptr}));
    const double scale = config.ScaleOf(module.path);
    // The config is all that a reader has; the difference allows for a scale that went through F32.
    if (std::fabs(module.scale - scale) > 1e-6 * std::fabs(scale)) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("adapter module '{}': scale {}, but the config gives it {}; set "
                               "alpha_pattern",
                               module.path, module.scale, scale));
    }
    tensors.push_back({fmt::format("{}{}{}", kPrefix, module.path, kA), module.a});
    tensors.push_back({fmt::format("{}{}{}", kPrefix, module.path, kB), module.b});
    if (module.magnitude) {
      tensors.push_back(
          {fmt::format("{}{}{}", kPrefix, module.path, kMagnitude), *module.magnitude});
    }
  }
  for (const NamedTensor& weight : saved) {
    if (!IsSaved(config, weight.name)) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("adapter weight '{}': no module of modules_to_save", weight.name));
    }
    tensors.push_back({fmt::format("{}{}", kPrefix, weight.name), weight.tensor});
  }
  for (const PeftRows& own : rows) {
    const PeftTokens* named = TokensOf(config, own.path);
    if (named == nullptr || named->tokens != own.tokens) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("adapter rows '{}': not the tokens that trainable_token_indices "
                               "names",
                               own.path));
    }
    METIER_TRY(CheckRows(own));
    tensors.push_back({fmt::format("{}{}{}", kPrefix, own.path, kRows), own.values});
  }
  METIER_TRY(MakeDirectories(folder));
  METIER_TRY(WriteSafetensors(folder + "/adapter_model.safetensors", tensors, {{"format", "pt"}}));
  return WriteFileAtomic(folder + "/adapter_config.json", DumpPretty(PeftConfigToJson(config)));
}

}  // namespace metier::format
