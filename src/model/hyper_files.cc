#include "model/hyper_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string_view>

#include "base/file.h"
#include "base/json.h"

namespace metier::model {
namespace {

constexpr const char* kHyperConfig = "/hyper_config.json";
constexpr const char* kHyperFormat = "metier-hyper";
constexpr std::int64_t kHyperVersion = 1;
constexpr std::size_t kHashDigits = 64;

// Reads the keys of a hyper_config.json; the first that is wrong is the error.
class HyperReader {
 public:
  HyperReader(const Json& config, const std::string& path) : config_(config), path_(path) {}

  Error Wrong(const char* key, std::string_view expected) const {
    const auto found = config_.find(key);
    return {ErrorCode::kDataCorrupt,
            fmt::format("'{}': {}: found {}, expected {}", path_, key,
                        found == config_.end() ? "nothing" : DumpCompact(*found), expected)};
  }

  Result<std::int64_t> Integer(const char* key, std::int64_t least, std::int64_t most) const {
    const auto found = config_.find(key);
    const bool whole = found != config_.end() && found->is_number_integer() &&
                       !(found->is_number_unsigned() &&
                         found->get<std::uint64_t>() > static_cast<std::uint64_t>(most));
    if (!whole || found->get<std::int64_t>() < least || found->get<std::int64_t>() > most)
      return Wrong(key, fmt::format("a whole number from {} to {}", least, most));
    return found->get<std::int64_t>();
  }

  Result<std::string> Text(const char* key) const {
    const auto found = config_.find(key);
    if (found == config_.end() || !found->is_string()) return Wrong(key, "a text");
    return found->get<std::string>();
  }

 private:
  const Json& config_;
  const std::string& path_;
};

bool IsHexDigit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

}  // namespace

std::string HyperTensors(const std::string& folder) { return folder + "/hyper.safetensors"; }

bool IsHyper(const std::string& folder) {
  std::error_code problem;
  return std::filesystem::exists(folder + kHyperConfig, problem);
}

Result<HyperFiles> OpenHyper(const std::string& folder, const Limits& limits) {
  const std::string path = folder + kHyperConfig;
  METIER_ASSIGN(const Json config, ReadJsonFile(path, limits));
  const Json version = config.is_object() ? config.value("version", Json()) : Json();
  if (!config.is_object() || config.value("format", Json()) != kHyperFormat ||
      version != kHyperVersion) {
    return Error(ErrorCode::kDataCorrupt, fmt::format("'{}': expected format \"{}\" of version {}",
                                                      path, kHyperFormat, kHyperVersion));
  }
  const HyperReader reader(config, path);
  HyperFiles files;
  METIER_ASSIGN(files.base_model, reader.Text("base_model_name_or_path"));
  METIER_ASSIGN(files.base_hash, reader.Text("base_hash"));
  if (files.base_hash.size() != kHashDigits || !std::ranges::all_of(files.base_hash, IsHexDigit))
    return reader.Wrong("base_hash", "64 hexadecimal digits");
  METIER_ASSIGN(const std::string dtype, reader.Text("dtype"));
  if (dtype != "float32" && dtype != "bfloat16")
    return reader.Wrong("dtype", "\"float32\" or \"bfloat16\"");
  files.bf16 = dtype == "bfloat16";
  METIER_ASSIGN(files.rank, reader.Integer("rank", 1, 4096));
  const Json alpha = config.value("alpha", Json());
  if (!alpha.is_number() || !(alpha.get<double>() > 0) || !std::isfinite(alpha.get<double>()))
    return reader.Wrong("alpha", "a number above 0");
  files.alpha = alpha.get<double>();
  const Json targets = config.value("target_modules", Json());
  if (!targets.is_array() || targets.empty() ||
      !std::ranges::all_of(targets, [](const Json& name) { return name.is_string(); }))
    return reader.Wrong("target_modules", "a list of names");
  files.target_modules = targets.get<std::vector<std::string>>();
  METIER_ASSIGN(files.latent_size, reader.Integer("latent_size", 4, 65536));
  if (files.latent_size % 4 != 0) return reader.Wrong("latent_size", "a multiple of 4");
  METIER_ASSIGN(files.blocks, reader.Integer("blocks", 0, 64));
  return files;
}

Status WriteHyper(const std::string& folder, const HyperFiles& files) {
  const Json config = {{"format", kHyperFormat},
                       {"version", kHyperVersion},
                       {"base_model_name_or_path", files.base_model},
                       {"base_hash", files.base_hash},
                       {"dtype", files.bf16 ? "bfloat16" : "float32"},
                       {"rank", files.rank},
                       {"alpha", files.alpha},
                       {"target_modules", files.target_modules},
                       {"latent_size", files.latent_size},
                       {"blocks", files.blocks}};
  return WriteFileAtomic(folder + kHyperConfig, DumpPretty(config));
}

}  // namespace metier::model
