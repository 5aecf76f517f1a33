#include "cli/merge_models.h"

#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/thread_pool.h"
#include "base/version.h"
#include "cli/model_folder.h"
#include "merge/merge_config.h"
#include "model/model_files.h"
#include "specialist/content_hash.h"

namespace metier::cli {
namespace {

// The configuration's word for a type.
std::string_view ConfigType(std::string_view dtype) {
  if (dtype == "F32") return "float32";
  if (dtype == "F16") return "float16";
  if (dtype == "BF16") return "bfloat16";
  return "";
}

Result<Json> ReadConfig(const MergeRequest& request) {
  METIER_ASSIGN(Json document, ReadYamlFile(request.config));
  if (request.dtype == "auto" || !document.is_object()) return document;
  const std::string_view dtype = ConfigType(request.dtype);
  if (dtype.empty()) {
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("--dtype {}: a merge of models is written as F32, F16 or BF16; convert "
                    "it afterwards",
                    request.dtype));
  }
  document["out_dtype"] = dtype;
  return document;
}

}  // namespace

Result<merge::MergePlan> PlanMerge(const Json& document) {
  METIER_ASSIGN(const merge::MergeConfig config, merge::ParseMergeConfig(document));
  METIER_ASSIGN(merge::SourceModels models, merge::OpenSourceModels(config.Models()));
  METIER_ASSIGN(merge::MergePlan plan, merge::MergePlan::Create(config, std::move(models)));
  for (const std::string& note : plan.notes()) LogWarning("merge: " + note);
  return plan;
}

Result<Json> HashModels(const merge::MergePlan& plan) {
  specialist::ContentHasher hasher("");
  Json hashes = Json::object();
  for (const std::string& name : plan.config().Models()) {
    METIER_ASSIGN(const std::string hash, hasher.OfPath(name));
    hashes[name] = hash;
  }
  return hashes;
}

Result<Json> WriteMerge(const merge::MergePlan& plan, const Json& document, const Json& hashes,
                        const std::string& folder, const std::string& out) {
  ThreadPool pool(ThreadPool::DefaultThreads());
  const OnProgress progress = ShowProgress("merge");
  const std::uint64_t total = model::Parameters(plan.spec()).size();
  std::uint64_t done = 0;
  const auto read = [&](const std::string& name) -> Result<tensor::Tensor> {
    METIER_ASSIGN(tensor::Tensor merged, plan.Read(name, pool));
    METIER_TRY(Report(progress, ++done, total));
    return merged;
  };
  METIER_TRY(model::WriteHuggingFaceModel(folder, plan.spec(), plan.dtype(), read));
  METIER_ASSIGN(Json tokenizer, CopyTokenizer(plan.config().tokenizer_source, folder));
  const std::string_view dtype = tensor::InfoOf(plan.dtype()).name;
  const Json manifest = {{"metier", Version()},
                         {"config", document},
                         {"models", hashes},
                         {"dtype", dtype},
                         {"notes", plan.notes()}};
  METIER_TRY(WriteFileAtomic(folder + "/merge.json", DumpPretty(manifest)));
  return Json{{"out", out},
              {"method", merge::MethodName(plan.config().method)},
              {"dtype", dtype},
              {"layers", plan.spec().layers},
              {"parameters", model::ParameterCount(plan.spec())},
              {"models", plan.config().Models()},
              {"tokenizer", std::move(tokenizer)}};
}

Result<Json> MergeModels(const MergeRequest& request) {
  METIER_ASSIGN(const std::string out, NewPath(request.out));
  if (std::filesystem::path(out).extension() == ".gguf") {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("--out {}: a merge of models is written as a directory; `metier "
                             "convert` makes a GGUF of it",
                             out));
  }
  METIER_ASSIGN(const Json document, ReadConfig(request));
  METIER_ASSIGN(const merge::MergePlan plan, PlanMerge(document));
  METIER_ASSIGN(const Json hashes, HashModels(plan));
  FolderInTheMaking folder(out);
  METIER_ASSIGN(Json written, WriteMerge(plan, document, hashes, folder.path(), out));
  METIER_TRY(folder.Finish());
  return written;
}

}  // namespace metier::cli
