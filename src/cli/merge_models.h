// cli/merge_models.h - models merged as a configuration says, and written with what shows how they
// came about.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "merge/plan.h"

namespace metier::cli {

// The plan of a configuration, its models opened; notes about them go to the log. What
// merge::ParseMergeConfig and merge::MergePlan::Create say.
Result<merge::MergePlan> PlanMerge(const Json& document);

// SHA-256 of every model of a plan, by the names that the configuration gives them.
Result<Json> HashModels(const merge::MergePlan& plan);

// Writes the merge into `folder` (created): weights and config.json in Hugging Face naming, the
// tokenizer and chat template of tokenizer_source, and merge.json, from which the merge can be made
// again:
//
//   {"metier": version, "config": the document, "models": {name: sha256}, "dtype": "BF16",
//    "notes": [what differs between the models and does not matter to the weights]}
//
// What was written: {"out", "method", "dtype", "layers", "parameters", "models", "tokenizer"}.
// `out`: the name that the folder will have.
Result<Json> WriteMerge(const merge::MergePlan& plan, const Json& document, const Json& hashes,
                        const std::string& folder, const std::string& out);

struct MergeRequest {
  std::string config;          // YAML file
  std::string out;             // a new folder
  std::string dtype = "auto";  // "F32", "F16", "BF16": instead of the file's
};

// The whole way. `out` appears complete or not at all. kInvalidArgument: it is there already.
Result<Json> MergeModels(const MergeRequest& request);

}  // namespace metier::cli
