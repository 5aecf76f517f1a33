#include "specialist/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/hash.h"

namespace metier::specialist {
namespace {

namespace fs = std::filesystem;

// A manifest from elsewhere must not make us read outside its folder.
Status CheckInside(const std::string& relative) {
  const fs::path path(relative);
  const bool climbs =
      std::any_of(path.begin(), path.end(), [](const fs::path& part) { return part == ".."; });
  if (path.empty() || path.is_absolute() || climbs) {
    return Error(
        ErrorCode::kDataCorrupt,
        fmt::format("{}: path '{}' leaves the specialist's folder", kManifestName, relative));
  }
  return Ok();
}

Status CheckNamed(const Manifest& manifest, const std::string& path) {
  if (path.empty()) return Ok();
  METIER_TRY(CheckInside(path));
  const bool covered =
      std::any_of(manifest.files.begin(), manifest.files.end(), [&](const auto& entry) {
        return entry.first == path || entry.first.starts_with(path + "/");
      });
  if (covered) return Ok();
  return Error(ErrorCode::kDataCorrupt,
               fmt::format("{}: '{}' is named but has no hash under 'files'", kManifestName, path));
}

Status VerifyFile(const std::string& folder, const std::string& relative,
                  const std::string& expected) {
  METIER_TRY(CheckInside(relative));
  auto found = Sha256OfFile(folder + "/" + relative);
  if (!found.ok()) return std::move(found).error().With("file of the specialist");
  if (*found == expected) return Ok();
  return Error(
      ErrorCode::kDataCorrupt,
      fmt::format(
          "'{}/{}' is not what was packaged: found sha256 {}, expected {}; package the specialist "
          "again, or restore the file",
          folder, relative, *found, expected));
}

}  // namespace

bool IsSpecialist(const std::string& path) {
  std::error_code ignored;
  return fs::is_regular_file(fs::path(path) / kManifestName, ignored);
}

Result<Manifest> VerifySpecialist(const std::string& folder) {
  const std::string path = folder + "/" + kManifestName;
  METIER_ASSIGN(const Json document, ReadYamlFile(path));
  if (document.is_object() && document.contains("format") &&
      document["format"].is_number_integer() &&
      document["format"].get<std::int64_t>() > kManifestFormat) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("'{}': format {}, this program reads up to {}: update metier", path,
                             DumpCompact(document["format"]), kManifestFormat));
  }
  Manifest manifest;
  METIER_TRY(recipe::ReadFields(document, path, manifest));
  for (const std::string* named : {&manifest.base, &manifest.adapter, &manifest.tools,
                                   &manifest.system, &manifest.evaluation, &manifest.recipe}) {
    METIER_TRY(CheckNamed(manifest, *named));
  }
  for (const std::string& named : manifest.documents) METIER_TRY(CheckNamed(manifest, named));
  for (const auto& [relative, expected] : manifest.files)
    METIER_TRY(VerifyFile(folder, relative, expected));
  return manifest;
}

Status WriteManifest(const std::string& folder, Manifest manifest) {
  manifest.files.clear();
  std::error_code failed;
  for (fs::recursive_directory_iterator it(folder, failed), end; !failed && it != end;
       it.increment(failed)) {
    if (!it->is_regular_file(failed)) continue;
    const std::string relative = fs::relative(it->path(), folder).string();
    if (relative == kManifestName) continue;
    METIER_ASSIGN(manifest.files[relative], Sha256OfFile(it->path().string()));
  }
  if (failed) return Error(ErrorCode::kIo, fmt::format("list '{}': {}", folder, failed.message()));
  return WriteFileAtomic(folder + "/" + kManifestName, DumpYaml(recipe::WriteFields(manifest)));
}

}  // namespace metier::specialist
