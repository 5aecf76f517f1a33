#include "cli/model_path.h"

#include <fmt/format.h>

#include "specialist/manifest.h"

namespace metier::cli {

Result<ModelPath> ResolveModelPath(const std::string& path, const std::string& adapter) {
  if (!specialist::IsSpecialist(path)) return ModelPath{path, adapter};
  METIER_ASSIGN(const specialist::Manifest manifest, specialist::VerifySpecialist(path));
  ModelPath place{path + "/" + manifest.base, adapter};
  if (manifest.adapter.empty()) return place;
  if (!adapter.empty()) {
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("'{}' has an adapter of its own; '{}' cannot be put on top", path, adapter));
  }
  place.adapter = path + "/" + manifest.adapter;
  return place;
}

}  // namespace metier::cli
