#include "cli/edit_model.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/hash.h"
#include "base/version.h"
#include "cli/edit_facts.h"
#include "cli/interrupt.h"
#include "cli/model_folder.h"
#include "format/safetensors.h"
#include "merge/source_model.h"
#include "model/edit_files.h"
#include "model/model_files.h"
#include "recipe/fields.h"
#include "specialist/train_plugin.h"
#include "specialist/train_progress.h"

namespace metier::cli {
namespace {

namespace fs = std::filesystem;

Status CheckDirectory(const std::string& model) {
  std::error_code ignored;
  if (fs::is_directory(model, ignored)) return Ok();
  if (!fs::exists(model, ignored))
    return Error(ErrorCode::kNotFound, fmt::format("'{}': there is nothing of that name", model));
  return Error(ErrorCode::kUnsupported,
               fmt::format("'{}' is a file; edits are of Hugging Face directories, whose weights "
                           "they can give back to the bit (`metier convert` makes one)",
                           model));
}

// What the plug-in's safetensors file holds, as tensors of the model's files.
Result<std::vector<model::FileTensor>> ChangedTensors(const model::ModelFiles& files,
                                                      const std::string& path) {
  METIER_ASSIGN(const auto changed, format::SafetensorsFile::Open(path));
  std::vector<model::FileTensor> tensors;
  for (const std::string& name : changed.Names()) {
    const tensor::TensorView* view = changed.Find(name);
    tensor::Tensor values(view->dtype, view->shape);
    std::memcpy(values.bytes().data(), view->bytes.data(), view->bytes.size());
    METIER_ASSIGN(model::FileTensor tensor, files.Encode(name, values));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

Result<Json> CallPlugin(const Json& call) {
  METIER_ASSIGN(const auto plugin, specialist::TrainPlugin::Load());
  specialist::TrainProgress progress("edit");
  return plugin.Call("edit", call, [&progress](const Json& event) {
    progress.OnEvent(event);
    return InterruptGuard::asked() ? specialist::TrainPlugin::Continue::kStop
                                   : specialist::TrainPlugin::Continue::kYes;
  });
}

Result<Json> HashInputs(const EditRequest& request) {
  Json inputs = Json::object();
  for (const auto& [name, path] :
       {std::pair("facts", request.facts), std::pair("texts", request.texts),
        std::pair("keep", request.keep)}) {
    if (path.empty()) continue;
    METIER_ASSIGN(const std::string hash, Sha256OfFile(path));
    inputs[name] = {{"sha256", hash}};
  }
  return inputs;
}

// Weights are the caller's.
Status CopyTheRest(const std::string& from, const std::string& to) {
  METIER_TRY(CopyFile(from + "/config.json", to + "/config.json"));
  METIER_TRY(CopyTokenizer(from, to));
  return Ok();
}

}  // namespace

Result<Json> EditModel(const EditRequest& request) {
  METIER_ASSIGN(const std::string out, NewPath(request.out));
  METIER_TRY(CheckDirectory(request.model));
  METIER_ASSIGN(const model::ModelFiles files, model::ModelFiles::Open(request.model));
  METIER_ASSIGN(const std::optional<text::Tokenizer> tokenizer,
                merge::FindTokenizer(request.model));
  if (!tokenizer) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("'{}' has no tokenizer: facts cannot be read", request.model));
  }
  METIER_ASSIGN(FactFile facts, ReadFactFile(request.facts, *tokenizer, request.essence));
  METIER_ASSIGN(Json begin, BeginningOf(*tokenizer));
  METIER_ASSIGN(Json texts, ReadEditTexts(request.texts, *tokenizer, request.config.texts_tokens));
  Json keep = Json::array();
  if (!request.keep.empty()) {
    METIER_ASSIGN(keep, ReadKeepFile(request.keep, *tokenizer));
  }
  METIER_ASSIGN(Json inputs, HashInputs(request));
  const Json settings = recipe::WriteFields(request.config);

  FolderInTheMaking folder(out);
  METIER_TRY(MakeDirectories(folder.path()));
  const std::string changed = folder.path() + "/changed.safetensors";
  METIER_ASSIGN(Json reply, CallPlugin({{"model", request.model},
                                        {"begin", std::move(begin)},
                                        {"facts", std::move(facts.facts)},
                                        {"keep", std::move(keep)},
                                        {"texts", std::move(texts)},
                                        {"settings", settings},
                                        {"out", changed}}));
  METIER_ASSIGN(const std::vector<model::FileTensor> tensors, ChangedTensors(files, changed));
  std::error_code ignored;
  fs::remove(changed, ignored);
  const Json about = {{"metier", Version()},        {"method", request.config.method},
                      {"essence", request.essence}, {"settings", settings},
                      {"layers", reply["layers"]},  {"facts", facts.rows},
                      {"inputs", std::move(inputs)}};
  METIER_TRY(model::WriteEdit(request.model, folder.path(), tensors, about));
  METIER_TRY(CopyTheRest(request.model, folder.path()));
  METIER_TRY(folder.Finish());
  METIER_ASSIGN(const std::vector<Json> stack, model::ReadEdits(out));
  Json report = {{"out", out},
                 {"method", request.config.method},
                 {"layers", reply["layers"]},
                 {"edits", stack.size()},
                 {"efficacy", reply["efficacy"]},
                 {"keep", reply["keep"]},
                 {"parameters", reply["parameters"]},
                 {"texts_tokens", reply["texts_tokens"]},
                 {"facts", Json::array()}};
  for (std::size_t i = 0; i < facts.rows.size(); ++i) {
    Json row = facts.rows[i];
    row.update(reply["facts"][i]);
    report["facts"].push_back(std::move(row));
  }
  return report;
}

Result<Json> RevertEdits(const std::string& model, std::int64_t count,
                         const std::string& out_path) {
  METIER_ASSIGN(const std::string out, NewPath(out_path));
  METIER_TRY(CheckDirectory(model));
  METIER_ASSIGN(const std::vector<Json> before, model::ReadEdits(model));
  const std::size_t all = before.size();
  const std::size_t reverted =
      count == 0 ? std::max<std::size_t>(all, 1) : static_cast<std::size_t>(count);
  FolderInTheMaking folder(out);
  METIER_TRY(model::WriteReverted(model, folder.path(), reverted));
  METIER_TRY(CopyTheRest(model, folder.path()));
  METIER_TRY(folder.Finish());
  return Json{{"out", out}, {"reverted", reverted}, {"edits", all - reverted}};
}

}  // namespace metier::cli
