// merge/singular_values.h - learned factors of singular values put into a model's weights.
#pragma once

#include "base/result.h"
#include "model/model_files.h"
#include "model/model_spec.h"
#include "model/svf_files.h"

namespace metier::merge {

// The parameters of `base` with W + U diag(s (z - 1)) V^T for every linear that has a z, in F32;
// where z is 1 everywhere the bits are the base's. Costs a decomposition of each such weight when
// it is read. kInvalidArgument: a linear that the model does not have, or of another size.
Result<model::ParameterReader> WithSingularValues(const model::ModelSpec& spec,
                                                  model::ParameterReader base,
                                                  model::SvfFiles files);

}  // namespace metier::merge
