// specialist/stages/package.cc - puts a specialist together: base, adapter, tools, documents,
// evaluation, manifest.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/hash.h"
#include "base/version.h"
#include "model/model_files.h"
#include "specialist/manifest.h"
#include "specialist/report.h"
#include "specialist/runnable.h"
#include "specialist/stages/stages.h"

namespace metier::specialist {
namespace {

namespace fs = std::filesystem;

struct PackageSettings {
  std::string name;
  std::string description;
  std::string base;
  std::string adapter;
  std::string tools;
  std::string system;
  std::vector<std::string> documents;
  std::string evaluation;
  GenerationDefaults generation;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("name", name, "the specialist's name").Required();
    field("description", description, "one sentence for people");
    field("base", base, "base model: a Hugging Face directory or a GGUF file").Required();
    field("adapter", adapter, "PEFT adapter directory");
    field("tools", tools, "JSON file with the tools it may call");
    field("system", system, "text file with its system message");
    field("documents", documents, "policies and other documents to keep with it");
    field("evaluation", evaluation, "folder of an evaluate stage: what it passed");
    field("generation", generation, "how it is meant to be run");
  }
};

// The same file under another name where the file system allows, else a copy: bases of gigabytes
// are not stored twice.
Status PlaceFile(const fs::path& from, const fs::path& to) {
  std::error_code failed;
  fs::create_hard_link(fs::canonical(from), to, failed);
  return failed ? CopyFile(from.string(), to.string()) : Ok();
}

// Weights of other frameworks, checkpoints of a run, logs and what names folders of this machine
// are not part of a model: how it was made stands in the recipe.
bool BelongsToModel(const fs::path& relative) {
  const std::string first = relative.begin()->string();
  if (first.starts_with("checkpoint-") || first.starts_with(".") || first == "stage.json" ||
      first == "manifest.json") {
    return false;
  }
  constexpr std::string_view kSkipped[] = {".bin", ".pt",  ".pth", ".onnx", ".msgpack",
                                           ".h5",  ".log", ".svg", ".jsonl"};
  const std::string extension = relative.extension().string();
  return std::find(std::begin(kSkipped), std::end(kSkipped), extension) == std::end(kSkipped);
}

Status PlaceFolder(const std::string& from, const std::string& to) {
  std::error_code failed;
  METIER_TRY(MakeDirectories(to));
  for (fs::recursive_directory_iterator it(from, failed), end; !failed && it != end;
       it.increment(failed)) {
    const fs::path relative = fs::relative(it->path(), from);
    if (!it->is_regular_file(failed) || !BelongsToModel(relative)) continue;
    METIER_TRY(MakeDirectories((fs::path(to) / relative).parent_path().string()));
    METIER_TRY(PlaceFile(it->path(), fs::path(to) / relative));
  }
  if (failed) return Error(ErrorCode::kIo, fmt::format("list '{}': {}", from, failed.message()));
  return Ok();
}

Status PlaceParts(const PackageSettings& settings, const std::string& work, Manifest& manifest) {
  manifest.base = fs::is_directory(settings.base) ? "base" : "base.gguf";
  METIER_TRY(fs::is_directory(settings.base) ? PlaceFolder(settings.base, work + "/base")
                                             : PlaceFile(settings.base, work + "/base.gguf"));
  if (!settings.adapter.empty()) {
    manifest.adapter = "adapter";
    METIER_TRY(PlaceFolder(settings.adapter, work + "/adapter"));
  }
  if (!settings.tools.empty()) {
    manifest.tools = "tools.json";
    METIER_TRY(PlaceFile(settings.tools, work + "/tools.json"));
  }
  if (!settings.system.empty()) {
    manifest.system = "system.md";
    METIER_TRY(PlaceFile(settings.system, work + "/system.md"));
  }
  for (const std::string& document : settings.documents) {
    const std::string name = fs::path(document).filename().string();
    manifest.documents.push_back(name);
    METIER_TRY(PlaceFile(document, work + "/" + name));
  }
  if (!settings.evaluation.empty()) {
    manifest.evaluation = "evaluation.json";
    METIER_TRY(PlaceFile(settings.evaluation + "/results.json", work + "/evaluation.json"));
    METIER_ASSIGN(const Json results, ReadJsonFile(work + "/evaluation.json"));
    if (results.is_object() && results.contains("headline")) manifest.scores = results["headline"];
  }
  return Ok();
}

Result<Json> Run(const StageContext& context) {
  PackageSettings settings;
  METIER_TRY(recipe::ReadFields(context.config, context.name, settings));
  Manifest manifest;
  manifest.name = settings.name;
  manifest.description = settings.description;
  manifest.made_by = std::string("metier ") + Version();
  manifest.generation = settings.generation;
  METIER_TRY(PlaceParts(settings, context.work, manifest));
  manifest.recipe = "recipe.json";
  METIER_TRY(WriteFileAtomic(context.work + "/" + manifest.recipe, DumpPretty(context.recipe)));

  // Opening it is the proof that the parts fit, and tells the rest of the manifest.
  METIER_ASSIGN(
      const Runnable model,
      OpenRunnable(
          {.path = context.work + "/" + manifest.base,
           .adapter = manifest.adapter.empty() ? "" : context.work + "/" + manifest.adapter}));
  manifest.family = model.files.spec().family;
  manifest.parameters = model::ParameterCount(model.files.spec());
  manifest.tool_dialect = text::ToolDialectName(model.dialect);
  if (model.chat_template) manifest.chat_template_sha256 = Sha256Hex(model.chat_template->source());
  METIER_TRY(WriteManifest(context.work, manifest));
  METIER_ASSIGN(const Manifest written, VerifySpecialist(context.work));
  return Json{{"name", written.name},
              {"family", written.family},
              {"parameters", written.parameters},
              {"files", written.files.size()},
              {"scores", written.scores}};
}

std::string Section(const StageRecord& record) {
  const auto manifest = VerifySpecialist(record.folder);
  if (!manifest.ok()) {
    return fmt::format("<h2>Specialist</h2>\n<p class=\"bad\">{}</p>\n",
                       EscapeHtml(manifest.error().message()));
  }
  std::string rows;
  for (const auto& [path, hash] : manifest->files) {
    rows += fmt::format("<tr><td><code>{}</code></td><td><code>{}</code></td></tr>\n",
                        EscapeHtml(path), hash.substr(0, 16));
  }
  return fmt::format(
      "<h2>Specialist</h2>\n<p>Verified: {} files of <strong>{}</strong> ({}, {:.2f} million "
      "parameters) are what the "
      "manifest says. Talk to it: <code>metier chat "
      "{}</code></p>\n<details><summary>Files</summary><div "
      "class=\"wide\"><table><tr><th>file</th><th>sha256</th></tr>\n{}</table></div></details>\n",
      manifest->files.size(), EscapeHtml(manifest->name), EscapeHtml(manifest->family),
      static_cast<double>(manifest->parameters) / 1e6, EscapeHtml(record.folder), rows);
}

}  // namespace

const StageKind kPackageStage = {"package",
                                 "put the specialist together and verify it",
                                 StageKind::Leftovers::kClear,
                                 &CheckSettings<PackageSettings>,
                                 &Run,
                                 &Section,
                                 &SettingsSchema<PackageSettings>,
                                 /*result=*/"",
                                 /*files=*/nullptr,
                                 /*keeps_recipe=*/true};

}  // namespace metier::specialist
