#include "model/mixture_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "format/safetensors.h"

namespace metier::model {
namespace {

constexpr const char* kIndexFile = "/mixture.json";
constexpr const char* kRouterFile = "/router.safetensors";
constexpr const char* kFormat = "metier-mixture";
constexpr std::int64_t kVersion = 1;

constexpr std::pair<const char*, RouteBy> kRouteBy[] = {{"token", RouteBy::kToken},
                                                        {"sequence", RouteBy::kSequence}};
constexpr std::pair<const char*, RouterScore> kScores[] = {
    {"softmax_then_top_k", RouterScore::kSoftmaxThenTopK},
    {"top_k_then_softmax", RouterScore::kTopKThenSoftmax},
    {"sigmoid", RouterScore::kSigmoid}};

template <class Names, class Value>
const char* NameOf(const Names& names, Value value) {
  return std::ranges::find(names, value, [](const auto& pair) { return pair.second; })->first;
}

bool CanNameFolder(const std::string& name) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !name.empty() && name.size() <= 128 && name.front() != '.' &&
         name.find_first_not_of(kAllowed) == std::string::npos;
}

// Nothing: a name that no expert may have, or two alike.
bool AreExpertNames(const std::vector<std::string>& names) {
  const std::set<std::string> different(names.begin(), names.end());
  return !names.empty() && different.size() == names.size() &&
         std::ranges::all_of(names, CanNameFolder);
}

class IndexReader {
 public:
  IndexReader(std::string folder, const Limits& limits)
      : path_(folder + kIndexFile), folder_(std::move(folder)), limits_(limits) {}

  Result<MixtureFiles> Read() {
    METIER_ASSIGN(const Json index, ReadJsonFile(path_));
    METIER_ASSIGN(const format::SafetensorsFile routers,
                  format::SafetensorsFile::Open(folder_ + kRouterFile, limits_));
    MixtureFiles files;
    files.mixture.name = folder_;
    try {
      METIER_TRY(ReadChoice(index, files));
      std::size_t number = 0;
      for (const Json& entry : index.at("routers"))
        METIER_TRY(ReadRouter(entry, number++, routers, files));
    } catch (const Json::exception& wrong) {
      return Corrupt(wrong.what());
    }
    if (files.mixture.routers.empty()) return Corrupt("expected routers, found none");
    return files;
  }

 private:
  Error Corrupt(const std::string& why) const {
    return Error(ErrorCode::kDataCorrupt, fmt::format("'{}': {}", path_, why));
  }

  template <class Names, class Value>
  Status ReadName(const Json& index, const char* key, const Names& names, Value& value) const {
    const std::string name = index.at(key).get<std::string>();
    std::string known;
    for (const auto& [candidate, meaning] : names) {
      if (name == candidate) {
        value = meaning;
        return Ok();
      }
      known += (known.empty() ? "" : ", ") + std::string(candidate);
    }
    return Corrupt(fmt::format("{}: found \"{}\", expected one of {}", key, name, known));
  }

  Status ReadChoice(const Json& index, MixtureFiles& files) const {
    const std::string format = index.at("format").get<std::string>();
    const auto version = index.at("version").get<std::int64_t>();
    if (format != kFormat || version != kVersion) {
      return Corrupt(fmt::format("found format \"{}\" version {}, expected \"{}\" version {}",
                                 format, version, kFormat, kVersion));
    }
    AdapterMixture& mixture = files.mixture;
    METIER_TRY(ReadName(index, "route_by", kRouteBy, mixture.by));
    METIER_TRY(ReadName(index, "score", kScores, mixture.score));
    mixture.top_k = index.at("top_k").get<std::int64_t>();
    mixture.normalise_top_k = index.at("norm_topk_prob").get<bool>();
    files.base_model = index.at("base_model_name_or_path").get<std::string>();
    files.experts = index.at("experts").get<std::vector<std::string>>();
    if (AreExpertNames(files.experts)) return Ok();
    return Corrupt("experts: expected different names of letters, digits, '.', '_' and '-'");
  }

  Result<tensor::Tensor> ReadF32(const format::SafetensorsFile& file, const std::string& name,
                                 std::size_t dimensions, std::size_t experts) const {
    const tensor::TensorView* view = file.Find(name);
    const bool fits = view != nullptr && view->dtype == tensor::DType::kF32 &&
                      view->shape.size() == dimensions &&
                      view->shape.front() == static_cast<std::int64_t>(experts);
    if (!fits) {
      return Error(
          ErrorCode::kDataCorrupt,
          fmt::format("'{}{}': '{}': expected F32 with {} rows, found {}", folder_, kRouterFile,
                      name, experts,
                      view == nullptr ? std::string("none") : tensor::FormatShape(view->shape)));
    }
    tensor::Tensor values = tensor::Tensor::Uninitialised(view->dtype, view->shape);
    std::ranges::copy(view->bytes, values.bytes().begin());
    return values;
  }

  Status ReadRouter(const Json& entry, std::size_t number, const format::SafetensorsFile& file,
                    MixtureFiles& files) const {
    AdapterRouter router;
    router.reads = entry.at("reads").get<std::string>();
    router.linears = entry.at("linears").get<std::vector<std::string>>();
    const std::size_t experts = files.experts.size();
    METIER_ASSIGN(router.weight, ReadF32(file, fmt::format("{}.weight", number), 2, experts));
    const std::string bias = fmt::format("{}.bias", number);
    if (file.Find(bias) != nullptr) {
      METIER_ASSIGN(router.bias, ReadF32(file, bias, 1, experts));
    }
    files.mixture.routers.push_back(std::move(router));
    return Ok();
  }

  std::string path_;
  std::string folder_;
  const Limits& limits_;
};

}  // namespace

std::string MixtureFiles::AdapterPath(std::size_t expert) const {
  return mixture.name + "/experts/" + experts[expert];
}

bool IsMixture(const std::string& folder) {
  return std::filesystem::is_regular_file(folder + kIndexFile);
}

Result<MixtureFiles> OpenMixture(const std::string& folder, const Limits& limits) {
  return IndexReader(folder, limits).Read();
}

Status WriteMixture(const std::string& folder, const AdapterMixture& mixture,
                    const std::vector<std::string>& experts, const std::string& base_model) {
  if (!AreExpertNames(experts)) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("mixture '{}': experts need different names of letters, digits, '.', "
                             "'_' and '-', with no '.' in front",
                             folder));
  }
  Json routers = Json::array();
  std::vector<format::NamedTensor> tensors;
  for (std::size_t r = 0; r < mixture.routers.size(); ++r) {
    const AdapterRouter& router = mixture.routers[r];
    if (router.weight.shape().size() != 2 ||
        router.weight.shape().front() != static_cast<std::int64_t>(experts.size())) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("mixture '{}': the router that reads '{}' is {}, expected a row for "
                               "each of {} experts",
                               folder, router.reads, tensor::FormatShape(router.weight.shape()),
                               experts.size()));
    }
    routers.push_back({{"reads", router.reads}, {"linears", router.linears}});
    tensors.push_back({fmt::format("{}.weight", r), router.weight.view()});
    if (router.bias) tensors.push_back({fmt::format("{}.bias", r), router.bias->view()});
  }
  const Json index = {{"format", kFormat},
                      {"version", kVersion},
                      {"base_model_name_or_path", base_model},
                      {"route_by", NameOf(kRouteBy, mixture.by)},
                      {"top_k", mixture.top_k},
                      {"score", NameOf(kScores, mixture.score)},
                      {"norm_topk_prob", mixture.normalise_top_k},
                      {"experts", experts},
                      {"routers", routers}};
  METIER_TRY(MakeDirectories(folder));
  METIER_TRY(format::WriteSafetensors(folder + kRouterFile, tensors, {{"format", kFormat}}));
  return WriteFileAtomic(folder + kIndexFile, DumpPretty(index));
}

}  // namespace metier::model
