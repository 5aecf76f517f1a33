// format/peft.h - PEFT LoRA adapters as they stand in a directory: adapter_config.json +
// adapter_model.safetensors.
//
// Every key that changes what the adapter computes is honoured or refused by name; unknown keys are
// kept and written back. What the names mean for a model is model/adapter.h's business.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/limits.h"
#include "base/result.h"
#include "format/safetensors.h"

namespace metier::format {

// Exceptions by module, in the file's order: the first key that matches a module counts, as in
// PEFT.
template <class T>
using ModulePatterns = std::vector<std::pair<std::string, T>>;

// trainable_token_indices: tokens whose rows of a module the adapter replaces.
struct PeftTokens {
  std::string module;  // a suffix of its path; empty: the token embedding
  std::vector<std::int64_t> tokens;

  bool operator==(const PeftTokens&) const = default;
};

struct PeftConfig {
  std::int64_t rank = 8;
  double alpha = 8;
  double dropout = 0;
  bool rslora = false;          // scale alpha / sqrt(rank) instead of alpha / rank
  bool dora = false;            // every module has a magnitude
  bool fan_in_fan_out = false;  // the base layer is Conv1D: weights are [in, out]
  std::vector<std::string>
      target_modules;          // suffixes of module paths; empty when a pattern is given
  std::string target_pattern;  // regular expression over whole module paths, or "all-linear", or
                               // kNoModules
  std::vector<std::string> exclude_modules;       // suffixes
  std::string exclude_pattern;                    // regular expression over whole module paths
  std::vector<std::string> modules_to_save;       // replaced as a whole: plain weights in the file
  bool ensure_weight_tying = false;               // a tied head is replaced with its embedding
  std::vector<PeftTokens> token_rows;             // none twice in a list
  std::vector<std::int64_t> layers_to_transform;  // empty: all
  std::vector<std::string> layers_pattern;        // the list of layers, "layers" or "h"; empty: any
  ModulePatterns<std::int64_t> rank_pattern;
  ModulePatterns<double> alpha_pattern;
  std::string base_model;
  std::vector<std::string> unknown_keys;  // not known to us: warned about, kept in `document`
  Json document;                          // everything as read, for writing back

  // Rank, alpha and scale of one module path.
  std::int64_t RankOf(std::string_view module) const;
  double AlphaOf(std::string_view module) const;
  double ScaleOf(std::string_view module) const;

  // Whether PEFT would adapt this linear: target_modules or target_pattern, exclude_*,
  // layers_to_transform. "all-linear" chooses every path; leaving out the head is the caller's
  // part.
  bool Targets(std::string_view module) const;
  // Whether no linear is to be adapted, whatever the model.
  bool TargetsNothing() const;
};

// What PEFT writes for target_modules where an adapter has none.
inline constexpr std::string_view kNoModules = "dummy-target-modules";

// kUnsupported: peft_type other than LORA, bias != none, layer_replication, lora_bias,
// target_parameters, ...: each by name and with what it would take.
// kDataCorrupt: a value of the wrong type, a pattern that is not a regular expression.
Result<PeftConfig> ParsePeftConfig(const Json& document);

// The document as it was read, with the fields above put in their places; `base_model` and the
// always-present keys of PEFT are filled in for a new config.
Json PeftConfigToJson(const PeftConfig& config);

// One adapted module: delta W = scale * B A; with a magnitude W' is W + delta W with its rows
// scaled to these lengths (DoRA, Liu et al. 2024, equation 5).
struct PeftModule {
  std::string path;      // "model.layers.0.self_attn.q_proj", without "base_model.model."
  tensor::TensorView a;  // [rank, in]
  tensor::TensorView b;  // [out, rank]
  double scale = 1;
  std::optional<tensor::TensorView> magnitude = {};  // [out]
};

// Rows to use instead of a module's. PEFT's name for the tensor says delta; the values replace.
struct PeftRows {
  std::string path;                  // "model.embed_tokens"
  std::vector<std::int64_t> tokens;  // in the order of the values
  tensor::TensorView values;         // [tokens, width]
};

struct PeftAdapter {
  PeftConfig config;
  std::vector<PeftModule> modules;  // sorted by path; views into `source`
  std::vector<NamedTensor> saved;   // weights of modules_to_save, without "base_model.model."
  std::vector<PeftRows> rows;       // sorted by path; a module tied to another may have none here
  std::shared_ptr<const SafetensorsFile> source;
};

// kDataCorrupt: an A without its B, ranks or rows that disagree with each other or the config, a
// tensor that no key explains. kUnsupported: LoRA on embeddings.
Result<PeftAdapter> OpenPeftAdapter(const std::string& folder, const Limits& limits = {});

// Writes both files atomically into `folder` (created), the config last. Tensor names follow PEFT;
// `saved` are weights of the config's modules_to_save, named as in PeftAdapter. kInvalidArgument: a
// rank or scale that the config does not give the module, a saved weight or rows that it does not
// name.
Status WritePeftAdapter(const std::string& folder, const PeftConfig& config,
                        const std::vector<PeftModule>& modules,
                        const std::vector<NamedTensor>& saved = {},
                        const std::vector<PeftRows>& rows = {});

}  // namespace metier::format
