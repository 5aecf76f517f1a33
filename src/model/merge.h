// model/merge.h - an adapter added into the weights of its base: W + scale * B A.
#pragma once

#include "base/result.h"
#include "model/adapter.h"
#include "model/model_files.h"
#include "model/model_spec.h"

namespace metier::model {

// Gives the parameters of `base` with the adapter added, in F32; each element's sum is taken in
// double and rounded once. kInvalidArgument: a delta of a linear that the model does not have, or
// of another shape.
Result<ParameterReader> MergedReader(const ModelSpec& spec, ParameterReader base, Adapter adapter);

}  // namespace metier::model
