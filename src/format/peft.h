// format/peft.h - PEFT LoRA adapters as they stand in a directory: adapter_config.json +
// adapter_model.safetensors.
//
// Every key that changes what the adapter computes is honoured or refused by name; unknown keys are
// kept and written back. What the names mean for a model is model/adapter.h's business.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/limits.h"
#include "base/result.h"
#include "format/safetensors.h"

namespace metier::format {

struct PeftConfig {
  std::int64_t rank = 8;
  double alpha = 8;
  double dropout = 0;
  bool rslora = false;          // scale alpha / sqrt(rank) instead of alpha / rank
  bool fan_in_fan_out = false;  // the base layer is Conv1D: weights are [in, out]
  std::vector<std::string>
      target_modules;          // suffixes of module paths; empty when a pattern is given
  std::string target_pattern;  // regular expression over whole module paths, or "all-linear"
  std::vector<std::string> exclude_modules;
  std::vector<std::string> modules_to_save;
  std::vector<std::int64_t> layers_to_transform;
  std::map<std::string, std::int64_t> rank_pattern;
  std::map<std::string, double> alpha_pattern;
  std::string base_model;
  Json document;  // everything as read, for writing back

  // Rank, alpha and scale of one module path; patterns match as PEFT does (regular expression or
  // path suffix).
  std::int64_t RankOf(std::string_view module) const;
  double AlphaOf(std::string_view module) const;
  double ScaleOf(std::string_view module) const;
};

// kUnsupported: peft_type other than LORA, use_dora, bias != none, layer_replication, lora_bias,
// trainable_token_indices, target_parameters, ...: each by name and with what it would take.
Result<PeftConfig> ParsePeftConfig(const Json& document);
Json PeftConfigToJson(const PeftConfig& config);

// One adapted module: delta W = scale * B A.
struct PeftModule {
  std::string path;      // "model.layers.0.self_attn.q_proj", without "base_model.model."
  tensor::TensorView a;  // [rank, in]
  tensor::TensorView b;  // [out, rank]
  double scale = 1;
};

struct PeftAdapter {
  PeftConfig config;
  std::vector<PeftModule> modules;  // sorted by path; views into `source`
  std::shared_ptr<const SafetensorsFile> source;
};

// kDataCorrupt: an A without its B, ranks that disagree with each other or the config.
Result<PeftAdapter> OpenPeftAdapter(const std::string& folder, const Limits& limits = {});

// Writes both files atomically into `folder` (created). Tensor names follow PEFT.
Status WritePeftAdapter(const std::string& folder, const PeftConfig& config,
                        const std::vector<PeftModule>& modules);

}  // namespace metier::format
