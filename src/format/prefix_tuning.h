// format/prefix_tuning.h - PEFT's prefix tuning (peft_type PREFIX_TUNING) as it stands in a
// directory: adapter_config.json + adapter_model.safetensors.
//
//   prompt_embeddings [num_virtual_tokens, num_layers * 2 * token_dim]
//
// A layer's part is its keys, then its values: token_dim = num_attention_heads * head_dim numbers
// each, where heads are those of keys and values. A prefix that was trained through a projection is
// saved projected.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/json.h"
#include "base/limits.h"
#include "base/result.h"
#include "format/safetensors.h"

namespace metier::format {

struct PrefixTuningConfig {
  std::int64_t tokens = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;      // of keys and values
  std::int64_t token_dim = 0;  // their width, all heads together
  std::string base_model;
  Json document;  // everything as read, for writing back
};

struct PrefixTuning {
  PrefixTuningConfig config;
  tensor::TensorView values;  // a view into `source`
  std::shared_ptr<const SafetensorsFile> source;
};

// Whether the directory holds one; false where it holds nothing that can be read.
bool IsPrefixTuning(const std::string& folder, const Limits& limits = {});

// kNotFound, kIo: no such files. kDataCorrupt: keys that are missing or wrong, a tensor of another
// shape. kUnsupported: another peft_type, more than one submodule (an encoder beside the decoder).
Result<PrefixTuning> OpenPrefixTuning(const std::string& folder, const Limits& limits = {});

// Writes both files atomically into `folder` (created), the config last. kInvalidArgument: values
// of another shape than the config's.
Status WritePrefixTuning(const std::string& folder, const PrefixTuningConfig& config,
                         const tensor::TensorView& values);

}  // namespace metier::format
