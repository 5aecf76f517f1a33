// model/spec_json.h - a ModelSpec as a JSON document of our own: for files that hold the model but
// not what its spec was read from (model/packed_index.h).
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "model/model_spec.h"

namespace metier::model {

// Every field, numbers to their last bit.
Json SpecToJson(const ModelSpec& spec);

// kDataCorrupt: a field that is missing, unknown or of another type, with its name. Does not
// Validate().
Result<ModelSpec> SpecFromJson(const Json& document);

}  // namespace metier::model
