// model/merge.h - an adapter added into the weights of its base: W + scale * B A, its rows as long
// as DoRA's magnitudes say; or the weight or rows that replace those of W.
#pragma once

#include "base/result.h"
#include "model/adapter.h"
#include "model/model_files.h"
#include "model/model_spec.h"

namespace metier::model {

struct MergedModel {
  ModelSpec spec;  // the base's, but untied where the adapter replaces embedding and head by
                   // different weights
  ParameterReader read;
};

// The parameters of `base` with the adapter added, in F32; each element's sum is taken in double
// and rounded once. kInvalidArgument: a delta of a linear that the model does not have, or of
// another shape.
Result<MergedModel> Merge(const ModelSpec& spec, ParameterReader base, Adapter adapter);

}  // namespace metier::model
