#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <string_view>

#include "format/module_pattern.h"
#include "format/peft.h"

namespace metier::format {
namespace {

constexpr std::int64_t kMaxRank = 1 << 16;
constexpr std::int64_t kMaxLayer = 1 << 20;
constexpr std::int64_t kMaxToken = std::numeric_limits<std::int32_t>::max();

Error Wrong(std::string_view key, const Json& found, std::string_view expected) {
  return Error(ErrorCode::kDataCorrupt, fmt::format("adapter config: \"{}\" is {}, {} expected",
                                                    key, DumpCompact(found), expected));
}

// A whole number from `least` to `most`, whichever way the document holds it.
Result<std::int64_t> WholeNumber(std::string_view key, const Json& value, std::int64_t least,
                                 std::int64_t most) {
  const bool fits = value.is_number_unsigned()
                        ? value.get<std::uint64_t>() <= static_cast<std::uint64_t>(most)
                        : value.is_number_integer() && value.get<std::int64_t>() <= most;
  if (!fits || value.get<std::int64_t>() < least)
    return Wrong(key, value, fmt::format("a whole number from {} to {}", least, most));
  return value.get<std::int64_t>();
}

Result<double> Number(std::string_view key, const Json& value) {
  if (!value.is_number() || !std::isfinite(value.get<double>()))
    return Wrong(key, value, "a number");
  return value.get<double>();
}

Result<bool> Flag(std::string_view key, const Json& value) {
  if (value.is_null()) return false;
  if (!value.is_boolean()) return Wrong(key, value, "true or false");
  return value.get<bool>();
}

Result<std::vector<std::string>> Strings(std::string_view key, const Json& value) {
  std::vector<std::string> texts;
  if (value.is_null()) return texts;
  if (!value.is_array()) return Wrong(key, value, "a list of strings");
  for (const Json& item : value) {
    if (!item.is_string() || item.get_ref<const std::string&>().empty())
      return Wrong(key, value, "a list of non-empty strings");
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

// A list of names, or one regular expression.
Status NamesOrPattern(std::string_view key, const Json& value, std::vector<std::string>& names,
                      std::string& pattern) {
  if (!value.is_string()) {
    METIER_ASSIGN(names, Strings(key, value));
    return Ok();
  }
  pattern = value.get<std::string>();
  if (pattern == "all-linear") return Ok();
  auto checked = CheckModulePattern(pattern);
  if (!checked.ok()) return std::move(checked).error().With(fmt::format("\"{}\"", key));
  return Ok();
}

Status LayerIndices(std::string_view key, const Json& value, std::vector<std::int64_t>& layers) {
  if (value.is_null()) return Ok();
  const Json list = value.is_array() ? value : Json::array({value});
  for (const Json& item : list) {
    METIER_ASSIGN(const std::int64_t layer, WholeNumber(key, item, 0, kMaxLayer));
    layers.push_back(layer);
  }
  return Ok();
}

Status TokenList(std::string_view key, const Json& value, PeftTokens& rows) {
  if (!value.is_array()) return Wrong(key, value, "a list of token ids");
  std::set<std::int64_t> seen;
  for (const Json& item : value) {
    METIER_ASSIGN(const std::int64_t token, WholeNumber(key, item, 0, kMaxToken));
    if (!seen.insert(token).second) return Wrong(key, value, fmt::format("token {} once", token));
    rows.tokens.push_back(token);
  }
  return Ok();
}

// A list, or {module: list}; one that is empty means nothing.
Status TokenRows(std::string_view key, const Json& value, std::vector<PeftTokens>& rows) {
  if (value.is_null()) return Ok();
  if (!value.is_object()) {
    rows.emplace_back();
    METIER_TRY(TokenList(key, value, rows.back()));
  } else {
    for (const auto& [module, tokens] : value.items()) {
      rows.push_back({module, {}});
      METIER_TRY(TokenList(fmt::format("{}.{}", key, module), tokens, rows.back()));
    }
  }
  std::erase_if(rows, [](const PeftTokens& one) { return one.tokens.empty(); });
  return Ok();
}

Json TokenRowsToJson(const std::vector<PeftTokens>& rows) {
  if (rows.empty()) return nullptr;
  if (rows.size() == 1 && rows.front().module.empty()) return Json(rows.front().tokens);
  Json object = Json::object();
  for (const PeftTokens& one : rows) object[one.module] = one.tokens;
  return object;
}

template <class T, class Read>
Status Patterns(std::string_view key, const Json& value, ModulePatterns<T>& patterns, Read&& read) {
  if (value.is_null()) return Ok();
  if (!value.is_object()) return Wrong(key, value, "an object {module: number}");
  for (const auto& [module, item] : value.items()) {
    auto checked = CheckModulePattern(module);
    if (!checked.ok()) return std::move(checked).error().With(fmt::format("\"{}\"", key));
    METIER_ASSIGN(const T number, read(fmt::format("{}.{}", key, module), item));
    patterns.emplace_back(module, number);
  }
  return Ok();
}

Error Refused(std::string_view key, const Json& value, std::string_view remedy) {
  return Error(ErrorCode::kUnsupported,
               fmt::format("adapter config: \"{}\": {} is not supported; {}", key,
                           DumpCompact(value), remedy));
}

bool IsOff(const Json& value) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>()) ||
         ((value.is_object() || value.is_array()) && value.empty());
}

constexpr std::string_view kMerge = "merge the adapter into its base model with PEFT first";

// Keys that change the function in ways we do not compute. Each must be off (null, false, empty).
struct OffKey {
  std::string_view key;
  std::string_view remedy;
};
constexpr std::array kOffKeys = {
    OffKey{"lora_bias", "train with lora_bias false"},
    OffKey{"layer_replication", "it copies layers of the base: save the grown model as a whole"},
    OffKey{"target_parameters", "it adapts bare expert tensors: merge it first"},
    OffKey{"alora_invocation_tokens",
           "it switches on in mid-sequence, which merging cannot express"},
    OffKey{"use_qalora", kMerge},
    OffKey{"use_bdlora", kMerge},
    OffKey{"monteclora_config", kMerge},
    OffKey{"arrow_config", "it routes between adapters: load these one by one"},
};

// Keys that concern training, memory or record-keeping only: kept and written back.
constexpr std::array<std::string_view, 17> kHarmlessKeys = {
    "auto_mapping",  "revision",          "inference_mode", "peft_version",       "megatron_config",
    "megatron_core", "eva_config",        "corda_config",   "lora_ga_config",     "loftq_config",
    "velora_config", "qalora_group_size", "runtime_config", "is_prompt_learning", "model_config",
    "layer_pattern", "task_type",
};

// Initialisations that change the base weights too (they subtract what the adapter starts with): on
// the plain base such an adapter computes something else. PEFT writes `true` once it has converted
// one on saving.
Status CheckInitialisation(const Json& value) {
  if (value.is_null() || value.is_boolean()) return Ok();
  if (!value.is_string()) return Wrong("init_lora_weights", value, "true, false or a name");
  const auto& name = value.get_ref<const std::string&>();
  for (const std::string_view harmless : {"gaussian", "orthogonal", "eva"}) {
    if (name == harmless) return Ok();
  }
  return Refused("init_lora_weights", value,
                 "it may change the base weights as well: save the adapter with "
                 "path_initial_model_for_weight_conversion");
}

Status CheckFieldKind(std::string_view key, const Json& value) {
  if (key == "peft_type" && value != "LORA")
    return Refused(key, value, "only \"LORA\" adapters are read");
  if (key == "bias" && value != "none")
    return Refused(key, value, "biases of the base are not replaced: train with bias \"none\"");
  if (key == "task_type" && !value.is_null() && value != "CAUSAL_LM" &&
      value != "FEATURE_EXTRACTION")
    return Refused(key, value, "CAUSAL_LM and FEATURE_EXTRACTION need no head of their own");
  return Ok();
}

// Reads one key into the config. False: the key is not known.
Result<bool> ReadKey(std::string_view key, const Json& value, PeftConfig& config) {
  METIER_TRY(CheckFieldKind(key, value));
  if (key == "peft_type" || key == "bias") return true;
  if (key == "r") {
    METIER_ASSIGN(config.rank, WholeNumber(key, value, 1, kMaxRank));
  } else if (key == "lora_alpha") {
    METIER_ASSIGN(config.alpha, Number(key, value));
  } else if (key == "lora_dropout") {
    METIER_ASSIGN(config.dropout, Number(key, value));
    if (config.dropout < 0 || config.dropout >= 1) return Wrong(key, value, "0 <= dropout < 1");
  } else if (key == "use_rslora") {
    METIER_ASSIGN(config.rslora, Flag(key, value));
  } else if (key == "use_dora") {
    METIER_ASSIGN(config.dora, Flag(key, value));
  } else if (key == "fan_in_fan_out") {
    METIER_ASSIGN(config.fan_in_fan_out, Flag(key, value));
  } else if (key == "target_modules") {
    METIER_TRY(NamesOrPattern(key, value, config.target_modules, config.target_pattern));
  } else if (key == "exclude_modules") {
    METIER_TRY(NamesOrPattern(key, value, config.exclude_modules, config.exclude_pattern));
  } else if (key == "modules_to_save") {
    METIER_ASSIGN(config.modules_to_save, Strings(key, value));
  } else if (key == "ensure_weight_tying") {
    METIER_ASSIGN(config.ensure_weight_tying, Flag(key, value));
  } else if (key == "trainable_token_indices") {
    METIER_TRY(TokenRows(key, value, config.token_rows));
  } else if (key == "layers_to_transform") {
    METIER_TRY(LayerIndices(key, value, config.layers_to_transform));
  } else if (key == "layers_pattern") {
    const Json list = value.is_string() ? Json::array({value}) : value;
    METIER_ASSIGN(config.layers_pattern, Strings(key, list));
  } else if (key == "rank_pattern") {
    METIER_TRY(Patterns(key, value, config.rank_pattern, [](std::string_view at, const Json& item) {
      return WholeNumber(at, item, 1, kMaxRank);
    }));
  } else if (key == "alpha_pattern") {
    METIER_TRY(Patterns(key, value, config.alpha_pattern, Number));
  } else if (key == "base_model_name_or_path") {
    if (!value.is_null() && !value.is_string()) return Wrong(key, value, "a string or null");
    if (value.is_string()) config.base_model = value.get<std::string>();
  } else if (key == "init_lora_weights") {
    METIER_TRY(CheckInitialisation(value));
  } else {
    for (const OffKey& off : kOffKeys) {
      if (key != off.key) continue;
      if (!IsOff(value)) return Refused(key, value, off.remedy);
      return true;
    }
    for (const std::string_view harmless : kHarmlessKeys) {
      if (key == harmless) return true;
    }
    return false;
  }
  return true;
}

// PEFT looks for "<anything>.<layers_pattern>.<index>." and, without a pattern, for any name before
// a number.
bool InLayers(std::string_view module, const PeftConfig& config) {
  if (config.layers_to_transform.empty()) return true;
  std::string_view before;
  while (!module.empty()) {
    const std::size_t dot = module.find('.');
    const std::string_view part = module.substr(0, dot);
    const bool number = !part.empty() && part.find_first_not_of("0123456789") == part.npos;
    bool named = config.layers_pattern.empty() && !before.empty();
    for (const std::string& pattern : config.layers_pattern) named = named || before == pattern;
    if (number && named) {
      for (const std::int64_t layer : config.layers_to_transform) {
        if (std::to_string(layer) == part) return true;
      }
      return false;
    }
    before = part;
    module = dot == module.npos ? std::string_view() : module.substr(dot + 1);
  }
  return false;
}

template <class T>
T FirstMatch(const ModulePatterns<T>& patterns, std::string_view module, T otherwise) {
  for (const auto& [pattern, value] : patterns) {
    if (MatchesModulePattern(pattern, module, PatternMatch::kSuffix)) return value;
  }
  return otherwise;
}

template <class T>
Json PatternsToJson(const ModulePatterns<T>& patterns) {
  Json object = Json::object();
  for (const auto& [pattern, value] : patterns) object[pattern] = value;
  return object;
}

Json NamesToJson(const std::vector<std::string>& names, const std::string& pattern) {
  if (!pattern.empty()) return Json(pattern);
  return names.empty() ? Json(nullptr) : Json(names);
}

// Whole numbers as PEFT's users write them: 16, not 16.0.
Json NumberToJson(double value) {
  constexpr double kExact = 9007199254740992.0;  // 2^53
  if (value == std::floor(value) && std::fabs(value) < kExact)
    return Json(static_cast<std::int64_t>(value));
  return Json(value);
}

}  // namespace

std::int64_t PeftConfig::RankOf(std::string_view module) const {
  return FirstMatch(rank_pattern, module, rank);
}

double PeftConfig::AlphaOf(std::string_view module) const {
  return FirstMatch(alpha_pattern, module, alpha);
}

double PeftConfig::ScaleOf(std::string_view module) const {
  const auto r = static_cast<double>(RankOf(module));
  return AlphaOf(module) / (rslora ? std::sqrt(r) : r);
}

bool PeftConfig::Targets(std::string_view module) const {
  for (const std::string& name : exclude_modules) {
    if (HasModuleSuffix(module, name)) return false;
  }
  if (!exclude_pattern.empty() &&
      MatchesModulePattern(exclude_pattern, module, PatternMatch::kWholePath))
    return false;
  if (target_pattern == "all-linear") return true;
  if (!target_pattern.empty())
    return MatchesModulePattern(target_pattern, module, PatternMatch::kWholePath);
  for (const std::string& name : target_modules) {
    if (HasModuleSuffix(module, name)) return InLayers(module, *this);
  }
  return false;
}

bool PeftConfig::TargetsNothing() const {
  return target_modules.empty() && (target_pattern.empty() || target_pattern == kNoModules);
}

Result<PeftConfig> ParsePeftConfig(const Json& document) {
  if (!document.is_object())
    return Error(ErrorCode::kDataCorrupt, "adapter config: not a JSON object");
  PeftConfig config;
  config.document = document;
  bool typed = false;
  bool ranked = false;
  for (const auto& [key, value] : document.items()) {
    METIER_ASSIGN(const bool known, ReadKey(key, value, config));
    if (!known) config.unknown_keys.push_back(key);
    typed = typed || key == "peft_type";
    ranked = ranked || key == "r";
  }
  if (!typed || !ranked) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("adapter config: \"{}\" is missing: not a PEFT LoRA config",
                             typed ? "r" : "peft_type"));
  }
  if (!config.layers_pattern.empty() && config.layers_to_transform.empty())
    return Error(ErrorCode::kDataCorrupt,
                 "adapter config: \"layers_pattern\" is given without \"layers_to_transform\"");
  if (!config.target_pattern.empty() && !config.layers_to_transform.empty())
    return Error(ErrorCode::kDataCorrupt,
                 "adapter config: \"layers_to_transform\" needs \"target_modules\" as a list");
  return config;
}

Json PeftConfigToJson(const PeftConfig& config) {
  Json out = config.document.is_object() ? config.document : Json::object();
  const auto default_to = [&out](const char* key, Json value) {
    if (out.find(key) == out.end()) out[key] = std::move(value);
  };
  out["peft_type"] = "LORA";
  default_to("task_type", "CAUSAL_LM");
  out["base_model_name_or_path"] =
      config.base_model.empty() ? Json(nullptr) : Json(config.base_model);
  default_to("revision", nullptr);
  default_to("inference_mode", true);
  default_to("auto_mapping", nullptr);
  default_to("bias", "none");
  out["r"] = config.rank;
  out["lora_alpha"] = NumberToJson(config.alpha);
  out["lora_dropout"] = config.dropout;
  out["use_rslora"] = config.rslora;
  out["use_dora"] = config.dora;
  out["fan_in_fan_out"] = config.fan_in_fan_out;
  default_to("init_lora_weights", true);
  out["target_modules"] = NamesToJson(config.target_modules, config.target_pattern);
  out["exclude_modules"] = NamesToJson(config.exclude_modules, config.exclude_pattern);
  out["modules_to_save"] = NamesToJson(config.modules_to_save, {});
  if (config.ensure_weight_tying) out["ensure_weight_tying"] = true;
  if (out.contains("trainable_token_indices") || !config.token_rows.empty())
    out["trainable_token_indices"] = TokenRowsToJson(config.token_rows);
  out["layers_to_transform"] =
      config.layers_to_transform.empty() ? Json(nullptr) : Json(config.layers_to_transform);
  out["layers_pattern"] = NamesToJson(config.layers_pattern, {});
  out["rank_pattern"] = PatternsToJson(config.rank_pattern);
  Json alphas = Json::object();
  for (const auto& [pattern, value] : config.alpha_pattern) alphas[pattern] = NumberToJson(value);
  out["alpha_pattern"] = std::move(alphas);
  return out;
}

}  // namespace metier::format
