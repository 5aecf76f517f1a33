// model/hyper_files.h - a hypernetwork, which writes LoRAs of one base for descriptions of tasks
// (train/hypernetwork.h), as a directory.
//
//   HYPER/hyper_config.json   {"format": "metier-hyper", "version": 1,
//                              "base_model_name_or_path": PATH, "base_hash": 64 hex digits,
//                              "dtype": "float32" or "bfloat16", "rank", "alpha",
//                              "target_modules": [NAME], "latent_size", "blocks"}
//   HYPER/hyper.safetensors   F32, its weights
//
// What it writes means something for the base that it was trained on alone, which the hash names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/result.h"

namespace metier::model {

struct HyperFiles {
  std::string base_model;  // where it was trained from
  std::string base_hash;   // of that model's files
  bool bf16 = false;       // of the base's products when it reads descriptions
  std::int64_t rank = 0;
  double alpha = 0;
  std::vector<std::string> target_modules;  // as of LoRA; {"all-linear"}: every linear but the head
  std::int64_t latent_size = 0;
  std::int64_t blocks = 0;

  bool operator==(const HyperFiles&) const = default;
};

// Where its weights stand.
std::string HyperTensors(const std::string& folder);

// Whether the directory holds one.
bool IsHyper(const std::string& folder);

// The config alone. kNotFound. kDataCorrupt: not what the header above says, or numbers that no run
// could have had (recipe::HyperConfig).
Result<HyperFiles> OpenHyper(const std::string& folder, const Limits& limits = {});

// Writes hyper_config.json; the weights come first.
Status WriteHyper(const std::string& folder, const HyperFiles& files);

}  // namespace metier::model
