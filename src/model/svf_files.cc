#include "model/svf_files.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "format/decode.h"
#include "format/safetensors.h"

namespace metier::model {
namespace {

constexpr const char* kSvfConfig = "/svf_config.json";
constexpr const char* kSvfTensors = "/svf.safetensors";
constexpr const char* kSvfFormat = "metier-svf";
constexpr std::int64_t kSvfVersion = 1;
constexpr std::string_view kZ = ".z";

Error CorruptSvf(const std::string& path, const std::string& why) {
  return Error(ErrorCode::kDataCorrupt, fmt::format("'{}': {}", path, why));
}

}  // namespace

bool IsSvf(const std::string& folder) {
  std::error_code problem;
  return std::filesystem::exists(folder + kSvfConfig, problem);
}

Result<SvfFiles> OpenSvf(const std::string& folder, const Limits& limits) {
  const std::string path = folder + kSvfConfig;
  METIER_ASSIGN(const Json config, ReadJsonFile(path, limits));
  const Json version = config.is_object() ? config.value("version", Json()) : Json();
  if (!config.is_object() || config.value("format", Json()) != kSvfFormat ||
      version != kSvfVersion) {
    return CorruptSvf(path,
                      fmt::format("expected format \"{}\" of version {}", kSvfFormat, kSvfVersion));
  }
  SvfFiles files;
  const Json base = config.value("base_model_name_or_path", Json());
  if (base.is_string()) files.base_model = base.get<std::string>();
  const std::string tensors = folder + kSvfTensors;
  METIER_ASSIGN(const format::SafetensorsFile file, format::SafetensorsFile::Open(tensors, limits));
  for (const std::string& name : file.Names()) {
    const tensor::TensorView& view = *file.Find(name);
    if (!name.ends_with(kZ) || name.size() == kZ.size() || view.dtype != tensor::DType::kF32 ||
        view.shape.size() != 1) {
      return CorruptSvf(tensors, fmt::format("found '{}' {} {}, expected F32 \"LINEAR{}\" [values]",
                                             name, tensor::InfoOf(view.dtype).name,
                                             tensor::FormatShape(view.shape), kZ));
    }
    METIER_ASSIGN(files.z[name.substr(0, name.size() - kZ.size())], format::DecodeTensor(view));
  }
  if (files.z.empty()) return CorruptSvf(tensors, "no singular values");
  return files;
}

Status WriteSvf(const std::string& folder, const SvfFiles& files) {
  std::vector<format::NamedTensor> tensors;
  for (const auto& [linear, z] : files.z)
    tensors.push_back({fmt::format("{}{}", linear, kZ), z.view()});
  METIER_TRY(MakeDirectories(folder));
  METIER_TRY(format::WriteSafetensors(folder + kSvfTensors, tensors, {{"format", kSvfFormat}}));
  const Json config = {{"format", kSvfFormat},
                       {"version", kSvfVersion},
                       {"base_model_name_or_path", files.base_model}};
  return WriteFileAtomic(folder + kSvfConfig, DumpPretty(config));
}

}  // namespace metier::model
