#include "engine/native_model.h"

#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "kernels/kernel_table.h"

namespace metier::engine {
namespace {

WeightOptions OptionsFor(const ModelOptions& options) {
  return {.layout = options.layout,
          .max_bytes = MachineMemoryBytes(),
          .threads = ThreadPool::DefaultThreads(),
          .max_expert_bytes = options.max_expert_bytes};
}

Status CheckSpec(const model::ModelSpec& spec) {
  constexpr auto kMost = static_cast<std::int64_t>(kernels::kMostHeadDim);
  if (spec.head_dim <= kMost) return Ok();
  return Error(ErrorCode::kUnsupported,
               fmt::format("attention heads of {} dimensions; the native engine computes heads of "
                           "at most {}",
                           spec.head_dim, kMost));
}

}  // namespace

std::uint64_t MachineMemoryBytes() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long page_bytes = ::sysconf(_SC_PAGESIZE);
  constexpr std::uint64_t kUnknown = std::uint64_t{4} << 30;
  if (pages <= 0 || page_bytes <= 0) return kUnknown;
  return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes);
}

Result<std::shared_ptr<const NativeModel>> NativeModel::Open(const std::string& path,
                                                             const Limits& limits,
                                                             const ModelOptions& options) {
  METIER_ASSIGN(const model::ModelFiles files, model::ModelFiles::Open(path, limits));
  auto opened = FromFiles(files, options);
  if (!opened.ok()) return std::move(opened).error().With("load '" + path + "'");
  return opened;
}

Result<std::shared_ptr<const NativeModel>> NativeModel::FromFiles(const model::ModelFiles& files,
                                                                  const ModelOptions& options) {
  METIER_TRY(CheckSpec(files.spec()));
  METIER_ASSIGN(Weights weights, Weights::FromFiles(files, OptionsFor(options)));
  return std::shared_ptr<const NativeModel>(new NativeModel(files.spec(), std::move(weights)));
}

Result<std::shared_ptr<const NativeModel>> NativeModel::FromReader(
    const model::ModelSpec& spec, const model::ParameterReader& read, WeightLayout layout) {
  METIER_TRY(model::Validate(spec));
  METIER_TRY(CheckSpec(spec));
  METIER_ASSIGN(Weights weights, Weights::FromReader(spec, read, OptionsFor({.layout = layout})));
  return std::shared_ptr<const NativeModel>(new NativeModel(spec, std::move(weights)));
}

}  // namespace metier::engine
