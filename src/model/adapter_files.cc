#include "model/adapter_files.h"

#include <fmt/format.h>

#include <utility>

#include "format/peft.h"
#include "format/prefix_tuning.h"
#include "model/hyper_files.h"
#include "model/mixture_files.h"
#include "model/svf_files.h"

namespace metier::model {

Result<AdapterFiles> OpenAdapter(const ModelSpec& spec, const std::string& folder,
                                 const Limits& limits) {
  AdapterFiles files;
  const auto open = [&](const std::string& path) -> Status {
    METIER_ASSIGN(const format::PeftAdapter peft, format::OpenPeftAdapter(path, limits));
    METIER_ASSIGN(Adapter adapter, ToAdapter(spec, peft));
    files.adapters.push_back(std::move(adapter));
    return Ok();
  };
  if (IsSvf(folder)) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("'{}': singular values change weights in full; put them into the "
                             "model with 'metier merge MODEL --adapter'",
                             folder));
  }
  if (IsHyper(folder)) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("'{}': a hypernetwork is no adapter, it writes them; say "
                             "'metier adapter write {} --describe TEXT --out DIR' and use what "
                             "that writes",
                             folder, folder));
  }
  if (format::IsPrefixTuning(folder, limits)) {
    METIER_ASSIGN(const format::PrefixTuning stored, format::OpenPrefixTuning(folder, limits));
    METIER_ASSIGN(Prefix prefix, ToPrefix(spec, stored, folder));
    files.adapters.push_back({.name = folder, .prefix = std::move(prefix)});
    return files;
  }
  if (!IsMixture(folder)) {
    METIER_TRY(open(folder));
    return files;
  }
  METIER_ASSIGN(MixtureFiles mixture, OpenMixture(folder, limits));
  for (std::size_t e = 0; e < mixture.experts.size(); ++e) METIER_TRY(open(mixture.AdapterPath(e)));
  files.mixture = std::move(mixture.mixture);
  return files;
}

Result<AdapterId> AddAdapter(Backend& backend, const AdapterFiles& files) {
  std::vector<AdapterId> ids;
  for (const Adapter& adapter : files.adapters) {
    METIER_ASSIGN(const AdapterId id, backend.AddAdapter(adapter));
    ids.push_back(id);
  }
  if (!files.mixture) return ids.front();
  return backend.AddMixture(*files.mixture, ids);
}

}  // namespace metier::model
