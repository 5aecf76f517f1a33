#include "format/prefix_tuning.h"

#include <fmt/format.h>

#include <utility>

#include "base/file.h"

namespace metier::format {
namespace {

constexpr const char* kPrefixType = "PREFIX_TUNING";
constexpr const char* kPrefixTensor = "prompt_embeddings";
constexpr std::int64_t kMostOfPrefix = 1 << 20;  // of each of its sizes: products stay in 64 bits

Result<std::int64_t> SizeAt(const Json& document, const char* key) {
  const auto found = document.find(key);
  const bool fits = found != document.end() && found->is_number_integer() &&
                    *found >= std::int64_t{1} && *found <= kMostOfPrefix;
  if (fits) return found->get<std::int64_t>();
  return Error(
      ErrorCode::kDataCorrupt,
      fmt::format("adapter config: \"{}\" is {}, a whole number from 1 to {} expected", key,
                  found == document.end() ? "missing" : DumpCompact(*found), kMostOfPrefix));
}

Result<PrefixTuningConfig> ParsePrefixConfig(const Json& document) {
  if (!document.is_object())
    return Error(ErrorCode::kDataCorrupt, "adapter config: not a JSON object");
  const auto type = document.find("peft_type");
  if (type == document.end() || *type != kPrefixType) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("adapter config: \"peft_type\" is {}, \"{}\" expected",
                             type == document.end() ? "missing" : DumpCompact(*type), kPrefixType));
  }
  const auto submodules = document.find("num_transformer_submodules");
  if (submodules != document.end() && !submodules->is_null() && *submodules != 1) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("adapter config: \"num_transformer_submodules\" is {}, only a decoder "
                             "alone (1) takes a prefix here",
                             DumpCompact(*submodules)));
  }
  PrefixTuningConfig config;
  METIER_ASSIGN(config.tokens, SizeAt(document, "num_virtual_tokens"));
  METIER_ASSIGN(config.layers, SizeAt(document, "num_layers"));
  METIER_ASSIGN(config.heads, SizeAt(document, "num_attention_heads"));
  METIER_ASSIGN(config.token_dim, SizeAt(document, "token_dim"));
  if (config.token_dim % config.heads != 0) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("adapter config: \"token_dim\" is {}, a multiple of "
                             "\"num_attention_heads\" ({}) expected",
                             config.token_dim, config.heads));
  }
  const auto base = document.find("base_model_name_or_path");
  if (base != document.end() && base->is_string()) config.base_model = base->get<std::string>();
  config.document = document;
  return config;
}

tensor::Shape PrefixShape(const PrefixTuningConfig& config) {
  return {config.tokens, config.layers * 2 * config.token_dim};
}

}  // namespace

bool IsPrefixTuning(const std::string& folder, const Limits& limits) {
  const Result<Json> document = ReadJsonFile(folder + "/adapter_config.json", limits);
  if (!document.ok() || !document->is_object()) return false;
  const auto type = document->find("peft_type");
  return type != document->end() && *type == kPrefixType;
}

Result<PrefixTuning> OpenPrefixTuning(const std::string& folder, const Limits& limits) {
  const std::string config_path = folder + "/adapter_config.json";
  METIER_ASSIGN(const Json document, ReadJsonFile(config_path, limits));
  auto config = ParsePrefixConfig(document);
  if (!config.ok()) return std::move(config).error().With("'" + config_path + "'");
  PrefixTuning prefix;
  prefix.config = std::move(*config);
  const std::string path = folder + "/adapter_model.safetensors";
  METIER_ASSIGN(SafetensorsFile file, SafetensorsFile::Open(path, limits));
  prefix.source = std::make_shared<const SafetensorsFile>(std::move(file));
  const tensor::TensorView* values = prefix.source->Find(kPrefixTensor);
  if (values == nullptr || values->shape != PrefixShape(prefix.config)) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("'{}': '{}' is {}, {} expected by its config", path, kPrefixTensor,
                             values == nullptr ? "missing" : tensor::FormatShape(values->shape),
                             tensor::FormatShape(PrefixShape(prefix.config))));
  }
  prefix.values = *values;
  return prefix;
}

Status WritePrefixTuning(const std::string& folder, const PrefixTuningConfig& config,
                         const tensor::TensorView& values) {
  if (values.shape != PrefixShape(config)) {
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("'{}': found {}, {} expected", kPrefixTensor, tensor::FormatShape(values.shape),
                    tensor::FormatShape(PrefixShape(config))));
  }
  Json out = config.document.is_object() ? config.document : Json::object();
  const auto default_to = [&out](const char* key, Json value) {
    if (out.find(key) == out.end()) out[key] = std::move(value);
  };
  out["peft_type"] = kPrefixType;
  default_to("task_type", "CAUSAL_LM");
  out["base_model_name_or_path"] =
      config.base_model.empty() ? Json(nullptr) : Json(config.base_model);
  default_to("revision", nullptr);
  default_to("inference_mode", true);
  default_to("auto_mapping", nullptr);
  out["num_virtual_tokens"] = config.tokens;
  out["num_layers"] = config.layers;
  out["num_attention_heads"] = config.heads;
  out["token_dim"] = config.token_dim;
  default_to("encoder_hidden_size", config.token_dim);
  default_to("num_transformer_submodules", 1);
  default_to("prefix_projection", false);
  METIER_TRY(MakeDirectories(folder));
  METIER_TRY(WriteSafetensors(folder + "/adapter_model.safetensors", {{kPrefixTensor, values}},
                              {{"format", "pt"}}));
  return WriteFileAtomic(folder + "/adapter_config.json", DumpPretty(out));
}

}  // namespace metier::format
