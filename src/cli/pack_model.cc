#include "cli/pack_model.h"

#include <filesystem>
#include <utility>

#include "base/file.h"
#include "base/progress.h"
#include "cli/model_folder.h"
#include "engine/packed_file.h"
#include "engine/packing.h"
#include "model/model_files.h"
#include "model/packed_index.h"
#include "specialist/manifest.h"

namespace metier::cli {
namespace {

namespace fs = std::filesystem;

// Writes `out`, a file for a file and a folder for a folder, which is made here.
Result<Json> PackBase(const std::string& base, const std::string& out, int threads) {
  METIER_ASSIGN(const model::ModelFiles files, model::ModelFiles::Open(base));
  std::string path = out;
  if (files.gguf() == nullptr) {
    METIER_TRY(MakeDirectories(out));
    METIER_TRY(CopyFile(base + "/config.json", out + "/config.json"));
    METIER_TRY(CopyTokenizer(base, out));
    path += std::string("/") + model::kPackedFileName;
  }
  METIER_ASSIGN(const engine::PackedFile written,
                engine::WritePackedFile(files, path, threads, ShowProgress("pack")));
  return Json{{"parameters", model::ParameterCount(files.spec())},
              {"layout", engine::PanelLayout()},
              {"panel_bytes", written.panel_bytes},
              {"row_bytes", written.row_bytes}};
}

Result<Json> PackSpecialist(const std::string& from, const std::string& to, int threads) {
  METIER_ASSIGN(specialist::Manifest manifest, specialist::VerifySpecialist(from));
  METIER_TRY(MakeDirectories(to));
  METIER_ASSIGN(Json packed,
                PackBase(from + "/" + manifest.base, to + "/" + manifest.base, threads));
  for (const auto& [relative, hash] : manifest.files) {
    if (relative == manifest.base || relative.starts_with(manifest.base + "/")) continue;
    METIER_TRY(MakeDirectories((fs::path(to) / relative).parent_path().string()));
    METIER_TRY(CopyFile(from + "/" + relative, to + "/" + relative));
  }
  METIER_TRY(specialist::WriteManifest(to, std::move(manifest)));
  return packed;
}

}  // namespace

Result<Json> PackModel(const std::string& model, const std::string& out, int threads) {
  METIER_ASSIGN(const std::string to, NewPath(out));
  std::error_code ignored;
  Json facts = {{"out", to}};
  Json packed;
  if (!fs::is_directory(model, ignored)) {
    METIER_ASSIGN(packed, PackBase(model, to, threads));
  } else {
    FolderInTheMaking folder(to);
    METIER_ASSIGN(packed, specialist::IsSpecialist(model)
                              ? PackSpecialist(model, folder.path(), threads)
                              : PackBase(model, folder.path(), threads));
    METIER_TRY(folder.Finish());
  }
  facts.update(packed);
  return facts;
}

}  // namespace metier::cli
