#include "cli/describe_adapter.h"

#include <filesystem>
#include <map>
#include <string_view>

#include "format/peft.h"
#include "format/prefix_tuning.h"
#include "format/safetensors.h"
#include "model/hyper_files.h"
#include "model/mixture_files.h"
#include "model/svf_files.h"

namespace metier::cli {
namespace {

Result<Json> DescribeLora(const std::string& path, ListTensors list) {
  METIER_ASSIGN(const format::PeftAdapter adapter, format::OpenPeftAdapter(path));
  Json document = {{"path", path}, {"kind", "adapter"}, {"format", "peft"}};
  const format::PeftConfig& config = adapter.config;
  document["base_model"] = config.base_model;
  document["rank"] = config.rank;
  document["alpha"] = config.alpha;
  document["rslora"] = config.rslora;
  document["dora"] = config.dora;
  Json modules = Json::array();
  for (const format::PeftModule& module : adapter.modules) {
    modules.push_back({{"path", module.path},
                       {"rank", module.a.shape[0]},
                       {"in", module.a.shape[1]},
                       {"out", module.b.shape[0]},
                       {"scale", module.scale}});
  }
  document["modules"] = std::move(modules);
  for (const format::PeftRows& rows : adapter.rows)
    document["token_rows"].push_back({{"path", rows.path}, {"tokens", rows.tokens}});
  AddTensors(*adapter.source, list, document);
  if (!config.unknown_keys.empty()) document["unknown_keys"] = config.unknown_keys;
  return document;
}

Result<Json> DescribePrefix(const std::string& path, ListTensors list) {
  METIER_ASSIGN(const format::PrefixTuning prefix, format::OpenPrefixTuning(path));
  Json document = {{"path", path},
                   {"kind", "adapter"},
                   {"format", "peft prefix"},
                   {"base_model", prefix.config.base_model},
                   {"virtual_tokens", prefix.config.tokens},
                   {"layers", prefix.config.layers}};
  AddTensors(*prefix.source, list, document);
  return document;
}

Result<Json> DescribeSvf(const std::string& path, ListTensors list) {
  METIER_ASSIGN(const model::SvfFiles svf, model::OpenSvf(path));
  Json document = {{"path", path},
                   {"kind", "adapter"},
                   {"format", "metier-svf"},
                   {"base_model", svf.base_model},
                   {"linears", svf.z.size()}};
  METIER_ASSIGN(const format::SafetensorsFile file,
                format::SafetensorsFile::Open(path + "/svf.safetensors"));
  AddTensors(file, list, document);
  return document;
}

// Its experts as the adapters that they are.
Result<Json> DescribeMixture(const std::string& path, ListTensors list) {
  METIER_ASSIGN(const model::MixtureFiles files, model::OpenMixture(path));
  const bool by_token = files.mixture.by == model::RouteBy::kToken;
  Json document = {{"path", path},
                   {"kind", "mixture"},
                   {"format", "metier-mixture"},
                   {"base_model", files.base_model},
                   {"route_by", by_token ? "token" : "sequence"},
                   {"top_k", files.mixture.top_k},
                   {"routers", files.mixture.routers.size()}};
  Json experts = Json::array();
  for (std::size_t e = 0; e < files.experts.size(); ++e) {
    METIER_ASSIGN(const Json expert, DescribeAdapter(files.AdapterPath(e), ListTensors::kNo));
    Json row = {{"name", files.experts[e]}};
    for (const char* key : {"rank", "alpha", "parameters"})
      if (expert.contains(key)) row[key] = expert.at(key);
    experts.push_back(std::move(row));
  }
  document["experts"] = std::move(experts);
  METIER_ASSIGN(const format::SafetensorsFile file,
                format::SafetensorsFile::Open(path + "/router.safetensors"));
  AddTensors(file, list, document);
  return document;
}

Result<Json> DescribeHyper(const std::string& path, ListTensors list) {
  METIER_ASSIGN(const model::HyperFiles files, model::OpenHyper(path));
  Json document = {{"path", path},
                   {"kind", "hypernetwork"},
                   {"format", "metier-hyper"},
                   {"base_model", files.base_model},
                   {"rank", files.rank},
                   {"alpha", files.alpha},
                   {"target_modules", files.target_modules}};
  METIER_ASSIGN(const format::SafetensorsFile file,
                format::SafetensorsFile::Open(model::HyperTensors(path)));
  AddTensors(file, list, document);
  return document;
}

}  // namespace

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

bool IsAdapter(const std::string& path) {
  std::error_code ignored;
  return model::IsMixture(path) || model::IsHyper(path) || model::IsSvf(path) ||
         std::filesystem::exists(path + "/adapter_config.json", ignored);
}

Result<Json> DescribeAdapter(const std::string& path, ListTensors list) {
  if (model::IsMixture(path)) return DescribeMixture(path, list);
  if (model::IsHyper(path)) return DescribeHyper(path, list);
  if (model::IsSvf(path)) return DescribeSvf(path, list);
  if (format::IsPrefixTuning(path)) return DescribePrefix(path, list);
  return DescribeLora(path, list);
}

}  // namespace metier::cli
