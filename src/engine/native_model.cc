#include "engine/native_model.h"

#include <unistd.h>

#include <utility>

namespace metier::engine {

std::uint64_t MachineMemoryBytes() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long page_bytes = ::sysconf(_SC_PAGESIZE);
  constexpr std::uint64_t kUnknown = std::uint64_t{4} << 30;
  if (pages <= 0 || page_bytes <= 0) return kUnknown;
  return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes);
}

Result<std::shared_ptr<const NativeModel>> NativeModel::Open(const std::string& path,
                                                             const Limits& limits) {
  METIER_ASSIGN(const model::ModelFiles files, model::ModelFiles::Open(path, limits));
  auto opened = FromFiles(files);
  if (!opened.ok()) return std::move(opened).error().With("load '" + path + "'");
  return opened;
}

Result<std::shared_ptr<const NativeModel>> NativeModel::FromFiles(const model::ModelFiles& files) {
  METIER_ASSIGN(Weights weights, Weights::FromFiles(files, MachineMemoryBytes()));
  return std::shared_ptr<const NativeModel>(new NativeModel(files.spec(), std::move(weights)));
}

Result<std::shared_ptr<const NativeModel>> NativeModel::FromReader(
    const model::ModelSpec& spec, const model::ParameterReader& read) {
  METIER_TRY(model::Validate(spec));
  METIER_ASSIGN(Weights weights, Weights::FromReader(spec, read, MachineMemoryBytes()));
  return std::shared_ptr<const NativeModel>(new NativeModel(spec, std::move(weights)));
}

}  // namespace metier::engine
