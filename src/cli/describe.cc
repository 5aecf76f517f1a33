#include "cli/describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <variant>
#include <vector>

#include "cli/describe_adapter.h"
#include "format/gguf.h"
#include "format/safetensors.h"
#include "model/model_files.h"
#include "recipe/fields.h"
#include "specialist/manifest.h"
#include "specialist/runnable.h"
#include "tensor/tensor.h"

namespace metier::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kShownElements = 8;

struct JsonOfValue {
  template <class T>
  Json operator()(const T& value) const {
    return Json(value);
  }
  template <class T>
  Json operator()(const std::vector<T>& values) const {
    Json list = Json::array();
    for (std::size_t i = 0; i < std::min(values.size(), kShownElements); ++i) {
      list.push_back(static_cast<T>(values[i]));  // vector<bool> hands out proxies
    }
    if (values.size() <= kShownElements) return list;
    return {{"length", values.size()}, {"first", std::move(list)}};
  }
};

std::string_view NameOf(model::PositionKind kind) {
  switch (kind) {
    case model::PositionKind::kRope: return "rope";
    case model::PositionKind::kLearned: return "learned";
    case model::PositionKind::kAlibi: return "alibi";
  }
  return "";
}

Json DescribeSpec(const model::ModelSpec& spec) {
  Json document = {{"width", spec.width},
                   {"layers", spec.layers},
                   {"heads", spec.heads},
                   {"kv_heads", spec.kv_heads},
                   {"head_dim", spec.head_dim},
                   {"hidden", spec.hidden},
                   {"vocab", spec.vocab},
                   {"max_positions", spec.max_positions},
                   {"positions", NameOf(spec.position)},
                   {"causal", spec.causal},
                   {"tied_head", spec.tied_head}};
  if (spec.moe.experts > 0) {
    document["experts"] =
        spec.moe.of_layer.empty() ? Json(spec.moe.experts) : Json(spec.moe.of_layer);
    const bool choose = spec.moe.chooser == model::ExpertChooser::kExpert;
    document["experts_per_token"] = choose ? Json(spec.moe.capacity) : Json(spec.moe.top_k);
    if (choose) document["experts_choose"] = true;
    if (spec.moe.residual) document["residual_experts"] = true;
    if (!spec.moe.tasks.empty()) document["tasks"] = spec.moe.tasks;
  }
  return document;
}

Json DescribeTokenizer(const text::Tokenizer& tokenizer) {
  const text::SpecialTokens& special = tokenizer.special();
  Json document = {{"vocab", tokenizer.vocab_size()}};
  const auto add = [&](const char* role, text::TokenId id) {
    if (id >= 0) document[role] = fmt::format("{} {}", id, tokenizer.TokenName(id));
  };
  add("bos", special.bos);
  add("eos", special.eos);
  add("pad", special.pad);
  add("unk", special.unk);
  return document;
}

// What is absent is said to be absent; what is broken is an error.
Status AddTokenizer(const std::string& path, Json& document) {
  auto tokenizer = specialist::OpenTokenizer(path);
  if (tokenizer.ok()) {
    document["tokenizer"] = DescribeTokenizer(*tokenizer);
  } else if (tokenizer.error().code() == ErrorCode::kNotFound) {
    document["tokenizer"] = nullptr;
  } else {
    return std::move(tokenizer).error();
  }
  auto chat = specialist::OpenChatTemplate(path, text::WithTools::kYes);
  if (chat.ok()) {
    document["chat_template"] =
        fmt::format("{} bytes, tool calls: {}", chat->source().size(),
                    text::ToolDialectName(text::DetectToolDialect(chat->source())));
  } else if (chat.error().code() == ErrorCode::kNotFound) {
    document["chat_template"] = nullptr;
  } else {
    return std::move(chat).error();
  }
  return Ok();
}

Result<Json> DescribeModel(const std::string& path, std::string_view format, ListTensors list) {
  METIER_ASSIGN(const model::ModelFiles files, model::ModelFiles::Open(path));
  Json document = {{"path", path},
                   {"kind", "model"},
                   {"format", format},
                   {"family", files.family().name},
                   {"model", DescribeSpec(files.spec())}};
  if (!files.packed_layout().empty()) document["packed"] = files.packed_layout();
  AddTensors(files.tensors(), list, document);
  document["parameters"] = model::ParameterCount(files.spec());
  if (!files.Unused().empty()) document["unused_tensors"] = files.Unused();
  METIER_TRY(AddTokenizer(path, document));
  return document;
}

Result<Json> DescribeSpecialist(const std::string& path, ListTensors list) {
  METIER_ASSIGN(const specialist::Manifest manifest, specialist::VerifySpecialist(path));
  METIER_ASSIGN(Json base, DescribePath(path + "/" + manifest.base, list));
  return Json{{"path", path},
              {"kind", "specialist"},
              {"manifest", recipe::WriteFields(manifest)},
              {"base", std::move(base)}};
}

Result<Json> DescribeGguf(const std::string& path, ListTensors list) {
  METIER_ASSIGN(const format::GgufFile file, format::GgufFile::Open(path));
  Json document;
  if (file.Names().empty()) {
    document = {{"path", path}, {"kind", "vocabulary"}, {"format", "gguf"}};
    METIER_TRY(AddTokenizer(path, document));
  } else {
    METIER_ASSIGN(document, DescribeModel(path, "gguf", list));
  }
  Json metadata = Json::object();
  for (const auto& [key, value] : file.metadata()) metadata[key] = std::visit(JsonOfValue(), value);
  document["metadata"] = std::move(metadata);
  return document;
}

Result<Json> DescribeSafetensors(const std::string& path, ListTensors list) {
  METIER_ASSIGN(const format::SafetensorsFile file, format::SafetensorsFile::Open(path));
  Json document = {{"path", path}, {"kind", "tensors"}, {"format", "safetensors"}};
  AddTensors(file, list, document);
  if (!file.metadata().empty()) document["metadata"] = file.metadata();
  return document;
}

}  // namespace

Result<Json> DescribePath(const std::string& path, ListTensors tensors) {
  std::error_code problem;
  const fs::file_status status = fs::status(path, problem);
  if (!fs::exists(status)) {
    return Error(ErrorCode::kNotFound, fmt::format("'{}': no such file or directory", path));
  }
  if (!fs::is_directory(status)) {
    const std::string extension = fs::path(path).extension().string();
    if (extension == ".gguf") return DescribeGguf(path, tensors);
    if (extension == ".safetensors") return DescribeSafetensors(path, tensors);
    return Error(ErrorCode::kUnsupported,
                 fmt::format("'{}': found a file ending in '{}', expected .gguf or .safetensors",
                             path, extension));
  }
  const auto holds = [&path](const char* name) {
    std::error_code ignored;
    return fs::exists(fs::path(path) / name, ignored);
  };
  if (specialist::IsSpecialist(path)) return DescribeSpecialist(path, tensors);
  if (holds("config.json")) return DescribeModel(path, "huggingface", tensors);
  if (IsAdapter(path)) return DescribeAdapter(path, tensors);
  return Error(
      ErrorCode::kNotFound,
      fmt::format("'{}': expected config.json (a model), adapter_config.json, mixture.json, "
                  "svf_config.json or hyper_config.json (an adapter, or what makes one) or "
                  "specialist.yaml in this folder, found none of them",
                  path));
}

}  // namespace metier::cli
