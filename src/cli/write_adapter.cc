#include "cli/write_adapter.h"

#include <fmt/format.h>

#include <filesystem>
#include <vector>

#include "cli/model_folder.h"
#include "model/hyper_files.h"
#include "specialist/descriptions.h"
#include "specialist/runnable.h"
#include "specialist/train_plugin.h"

namespace metier::cli {
namespace {

Result<std::string> BaseOf(const WriteAdapterOptions& options, const model::HyperFiles& files) {
  const std::string& base = options.base.empty() ? files.base_model : options.base;
  std::error_code ignored;
  if (!base.empty() && std::filesystem::exists(base, ignored)) return base;
  return Error(ErrorCode::kNotFound,
               options.base.empty()
                   ? fmt::format("'{}': its base was '{}', which is not there; say where it is "
                                 "with --base",
                                 options.hypernetwork, base)
                   : fmt::format("--base '{}' is not there", base));
}

// A run copies the tokenizer that it read descriptions with, if it is one of files.
Result<text::Tokenizer> TokenizerOf(const std::string& hypernetwork, const std::string& base) {
  auto own = specialist::OpenTokenizer(hypernetwork);
  if (own.ok() || own.error().code() != ErrorCode::kNotFound) return own;
  return specialist::OpenTokenizer(base);
}

}  // namespace

Result<Json> WriteAdapter(const WriteAdapterOptions& options) {
  METIER_ASSIGN(const std::string out, NewPath(options.out));
  if (!model::IsHyper(options.hypernetwork)) {
    return Error(ErrorCode::kNotFound,
                 fmt::format("'{}' is no hypernetwork: expected a directory with "
                             "hyper_config.json, the final/ of a run with `hyper`",
                             options.hypernetwork));
  }
  METIER_ASSIGN(const model::HyperFiles files, model::OpenHyper(options.hypernetwork));
  METIER_ASSIGN(const std::string base, BaseOf(options, files));
  METIER_ASSIGN(const text::Tokenizer tokenizer, TokenizerOf(options.hypernetwork, base));
  METIER_ASSIGN(const std::vector<std::int64_t> ids,
                specialist::DescriptionIds(tokenizer, options.describe));
  METIER_ASSIGN(const auto plugin, specialist::TrainPlugin::Load());
  FolderInTheMaking folder(out);
  const Json request = {{"hypernetwork", options.hypernetwork},
                        {"model", base},
                        {"describe", options.describe},
                        {"description_ids", ids},
                        {"out", folder.path()},
                        {"device", options.device},
                        {"threads", options.threads}};
  METIER_ASSIGN(Json written, plugin.Call("write_adapter", request, [](const Json&) {
    return specialist::TrainPlugin::Continue::kYes;
  }));
  METIER_TRY(folder.Finish());
  written["out"] = out;
  return written;
}

}  // namespace metier::cli
