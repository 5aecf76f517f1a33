#include "cli/convert_model.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <utility>
#include <vector>

#include "base/file.h"
#include "cli/model_folder.h"
#include "cli/model_path.h"
#include "format/gguf.h"
#include "format/peft.h"
#include "merge/singular_values.h"
#include "model/adapter.h"
#include "model/merge.h"
#include "model/model_files.h"
#include "model/svf_files.h"
#include "model/task_model.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace metier::cli {
namespace {

namespace fs = std::filesystem;

using GgufMetadata = std::map<std::string, format::GgufValue>;

constexpr std::uint64_t kMostTokenizerBytes = 1ULL << 30;
constexpr char kHuggingFaceKey[] = "tokenizer.huggingface.json";
constexpr char kTemplateKey[] = "tokenizer.chat_template";

// The tokenizer of a directory as GGUF keys.
Status AddVocabulary(const std::string& folder, GgufMetadata& metadata) {
  auto json = ReadFile(folder + "/tokenizer.json", kMostTokenizerBytes);
  if (!json.ok()) {
    if (json.error().code() == ErrorCode::kNotFound) return Ok();
    return std::move(json).error();
  }
  METIER_ASSIGN(const text::Tokenizer tokenizer, text::LoadTokenizer(folder));
  metadata[kHuggingFaceKey] = *std::move(json);
  const text::SpecialTokens& special = tokenizer.special();
  const auto add = [&metadata](const char* role, text::TokenId id) {
    if (id < 0) return;
    metadata[fmt::format("tokenizer.ggml.{}_token_id", role)] = static_cast<std::uint64_t>(id);
  };
  add("bos", special.bos);
  add("eos", special.eos);
  add("padding", special.pad);
  add("unknown", special.unk);
  if (!special.end_of_turn.empty()) add("eot", special.end_of_turn.front());
  auto chat = text::LoadChatTemplate(folder, text::WithTools::kYes);
  if (chat.ok()) {
    metadata[kTemplateKey] = chat->source();
  } else if (chat.error().code() != ErrorCode::kNotFound) {
    return std::move(chat).error();
  }
  return Ok();
}

GgufMetadata TokenizerKeys(const format::GgufFile& file) {
  GgufMetadata keys;
  for (const auto& [key, value] : file.metadata()) {
    if (key.rfind("tokenizer.", 0) == 0 || key == "general.name") keys[key] = value;
  }
  return keys;
}

Result<Json> WriteGguf(const model::ModelFiles& files, const model::GgufOptions& options,
                       const model::MergedModel& model, const std::string& out) {
  GgufMetadata metadata;
  if (files.gguf() != nullptr) {
    metadata = TokenizerKeys(*files.gguf());
  } else {
    METIER_TRY(AddVocabulary(files.path(), metadata));
  }
  METIER_TRY(model::WriteGgufModel(out, model.spec, options, metadata, model.read));
  if (metadata.count(kHuggingFaceKey) != 0) return Json(kHuggingFaceKey);
  if (metadata.count("tokenizer.ggml.model") != 0) return Json("tokenizer.ggml.*");
  return Json(nullptr);
}

Result<Json> WriteFolder(const model::ModelFiles& files, tensor::DType dtype,
                         const model::MergedModel& model, const std::string& out) {
  METIER_TRY(model::WriteHuggingFaceModel(out, model.spec, dtype, model.read));
  return CopyTokenizer(files.path(), out);
}

Result<model::MergedModel> WithAdapter(const model::ModelFiles& files, const std::string& adapter) {
  model::ParameterReader plain = [files](const std::string& name) { return files.LoadF32(name); };
  if (adapter.empty()) return model::MergedModel{files.spec(), std::move(plain)};
  if (model::IsSvf(adapter)) {
    METIER_ASSIGN(model::SvfFiles svf, model::OpenSvf(adapter));
    METIER_ASSIGN(model::ParameterReader scaled,
                  merge::WithSingularValues(files.spec(), std::move(plain), std::move(svf)));
    return model::MergedModel{files.spec(), std::move(scaled)};
  }
  METIER_ASSIGN(const format::PeftAdapter peft, format::OpenPeftAdapter(adapter));
  METIER_ASSIGN(model::Adapter deltas, model::ToAdapter(files.spec(), peft));
  return model::Merge(files.spec(), std::move(plain), std::move(deltas));
}

}  // namespace

Result<Json> ConvertModel(const Conversion& conversion) {
  METIER_ASSIGN(const std::string out, NewPath(conversion.out));
  const bool gguf =
      conversion.to == "gguf" || (conversion.to == "auto" && fs::path(out).extension() == ".gguf");
  METIER_ASSIGN(const ModelPath place, ResolveModelPath(conversion.model, conversion.adapter));
  METIER_ASSIGN(const model::ModelFiles files, model::ModelFiles::Open(place.base));
  if (!gguf && conversion.head_dtype != "auto") {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("--head-dtype {}: tensors of a Hugging Face directory have one type; "
                             "leave it out, or write a GGUF",
                             conversion.head_dtype));
  }
  tensor::DType dtype = model::CommonType(files);
  if (conversion.dtype != "auto") {
    dtype = tensor::DTypeFromName(conversion.dtype).value_or(dtype);
  }
  METIER_ASSIGN(model::MergedModel merged, WithAdapter(files, place.adapter));
  if (!conversion.task.empty()) {
    METIER_ASSIGN(merged, model::TakeTask(merged.spec, merged.read, conversion.task));
  }
  Json tokenizer;
  if (gguf) {
    const model::GgufOptions options{.dtype = dtype,
                                     .head_dtype = tensor::DTypeFromName(conversion.head_dtype)};
    METIER_ASSIGN(tokenizer, WriteGguf(files, options, merged, out));
  } else {
    FolderInTheMaking folder(out);
    METIER_ASSIGN(tokenizer, WriteFolder(files, dtype, merged, folder.path()));
    METIER_TRY(folder.Finish());
  }
  return Json{{"out", out},
              {"format", gguf ? "gguf" : "huggingface"},
              {"dtype", tensor::InfoOf(dtype).name},
              {"parameters", model::ParameterCount(merged.spec)},
              {"merged", place.adapter.empty() ? Json(nullptr) : Json(place.adapter)},
              {"tokenizer", std::move(tokenizer)}};
}

}  // namespace metier::cli
