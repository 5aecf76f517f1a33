// model/adapter_files.h - what a user names as an adapter: a PEFT directory (a LoRA or a prefix),
// or a mixture's (model/mixture_files.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "model/adapter.h"
#include "model/backend.h"
#include "model/mixture.h"
#include "model/model_spec.h"

namespace metier::model {

struct AdapterFiles {
  std::vector<Adapter> adapters;          // one, or a mixture's experts in its order
  std::optional<AdapterMixture> mixture;  // of these
};

// Errors: OpenPeftAdapter, ToAdapter, OpenMixture. kUnsupported: singular values (svf_files.h), a
// hypernetwork (hyper_files.h).
Result<AdapterFiles> OpenAdapter(const ModelSpec& spec, const std::string& folder,
                                 const Limits& limits = {});

// Gives the backend all of it; the id to use. Errors: Backend::AddAdapter, AddMixture.
Result<AdapterId> AddAdapter(Backend& backend, const AdapterFiles& files);

}  // namespace metier::model
