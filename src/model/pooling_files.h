// model/pooling_files.h - how an embedding model pools, as sentence-transformers stores it:
// modules.json and the config.json of its Pooling module.
//
// Internal to model/.
#pragma once

#include <string>

#include "base/limits.h"
#include "base/result.h"
#include "model/model_spec.h"

namespace metier::model {

// Sets spec.pooling and spec.normalise_pooled; leaves them where the folder has no modules.json.
// kUnsupported: modules that compute something else (Dense, ...), several pooling modes at once.
Status ReadPooling(const std::string& folder, const Limits& limits, ModelSpec& spec);

// For Pooling::kNone there is nothing to write; a modules.json of an earlier model is removed.
Status WritePooling(const std::string& folder, const ModelSpec& spec);

}  // namespace metier::model
