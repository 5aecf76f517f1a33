// model/mixture_files.h - a mixture of adapters as a directory:
//
//   MIX/mixture.json          how experts are chosen, their names in the order of the scores, and
//                             which linears each router reads and routes
//   MIX/router.safetensors    F32: "N.weight" [experts, in] and "N.bias" [experts] of router N
//   MIX/experts/NAME/         an ordinary PEFT adapter each, which every program can use alone
#pragma once

#include <string>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "model/mixture.h"

namespace metier::model {

struct MixtureFiles {
  AdapterMixture mixture;            // its name: the directory
  std::vector<std::string> experts;  // names, in the order of the routers' scores
  std::string base_model;            // where it was trained from; may be ""

  // The expert's PEFT directory.
  std::string AdapterPath(std::size_t expert) const;
};

// Whether the directory holds a mixture.
bool IsMixture(const std::string& folder);

// kNotFound. kDataCorrupt: mixture.json or a router is not what the header above says.
// Whether routers and experts fit a model is Backend::AddMixture's to say.
Result<MixtureFiles> OpenMixture(const std::string& folder, const Limits& limits = {});

// Writes mixture.json (last) and router.safetensors. The experts are to be there, or to come.
// kInvalidArgument: a name of an expert that cannot name a folder (expected letters, digits, '.',
// '_' and '-', no '.' in front), or twice; a router with weights for another number of experts.
Status WriteMixture(const std::string& folder, const AdapterMixture& mixture,
                    const std::vector<std::string>& experts, const std::string& base_model);

}  // namespace metier::model
