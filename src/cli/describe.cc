#include "cli/describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <variant>
#include <vector>

#include "format/gguf.h"
#include "format/peft.h"
#include "format/safetensors.h"
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

// Adds "parameters", "bytes", "types" and, where asked for, "tensors".
void AddTensors(const tensor::TensorSource& source, ListTensors list, Json& document) {
  struct Sum {
    std::int64_t tensors = 0;
    std::int64_t parameters = 0;
    std::uint64_t bytes = 0;
  };
  std::map<std::string_view, Sum> by_type;
  Sum all;
  Json listed = Json::array();
  for (const std::string& name : source.Names()) {
    const tensor::TensorView* view = source.Find(name);
    const std::string_view type = tensor::InfoOf(view->dtype).name;
    for (Sum* sum : {&by_type[type], &all}) {
      ++sum->tensors;
      sum->parameters += tensor::ElementCount(view->shape);
      sum->bytes += view->bytes.size();
    }
    if (list == ListTensors::kYes) {
      listed.push_back({{"name", name}, {"dtype", type}, {"shape", view->shape}});
    }
  }
  document["parameters"] = all.parameters;
  document["bytes"] = all.bytes;
  Json types = Json::object();
  for (const auto& [type, sum] : by_type) {
    types[std::string(type)] = {
        {"tensors", sum.tensors}, {"parameters", sum.parameters}, {"bytes", sum.bytes}};
  }
  document["types"] = std::move(types);
  if (list == ListTensors::kYes) document["tensors"] = std::move(listed);
}

Result<Json> DescribeGguf(const std::string& path, ListTensors list) {
  METIER_ASSIGN(const format::GgufFile file, format::GgufFile::Open(path));
  Json document = {{"path", path},
                   {"kind", file.Names().empty() ? "vocabulary" : "tensors"},
                   {"format", "gguf"}};
  AddTensors(file, list, document);
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

Result<Json> DescribeAdapter(const std::string& path, ListTensors list) {
  METIER_ASSIGN(const format::PeftAdapter adapter, format::OpenPeftAdapter(path));
  Json document = {{"path", path}, {"kind", "adapter"}, {"format", "peft"}};
  const format::PeftConfig& config = adapter.config;
  document["base_model"] = config.base_model;
  document["rank"] = config.rank;
  document["alpha"] = config.alpha;
  document["rslora"] = config.rslora;
  Json modules = Json::array();
  for (const format::PeftModule& module : adapter.modules) {
    modules.push_back({{"path", module.path},
                       {"rank", module.a.shape[0]},
                       {"in", module.a.shape[1]},
                       {"out", module.b.shape[0]},
                       {"scale", module.scale}});
  }
  document["modules"] = std::move(modules);
  AddTensors(*adapter.source, list, document);
  if (!config.unknown_keys.empty()) document["unknown_keys"] = config.unknown_keys;
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
  if (holds("adapter_config.json")) return DescribeAdapter(path, tensors);
  return Error(ErrorCode::kNotFound,
               fmt::format("'{}': expected config.json (a model) or adapter_config.json (an "
                           "adapter) in this folder, found neither",
                           path));
}

}  // namespace metier::cli
