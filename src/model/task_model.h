// model/task_model.h - one task of a model whose experts go by task, as a model of its own.
#pragma once

#include <string>

#include "base/result.h"
#include "model/merge.h"
#include "model/model_files.h"
#include "model/model_spec.h"

namespace metier::model {

// The shared parameters and of each layer the experts that the task's tokens go to, all of which
// every token then takes (Kudugunta et al. 2021, section 3.2). It computes what the whole model
// does for that task, to the bit where an executor's products do not hang on what is left out: the
// choice is among the same scores, the experts stand in the same order. Reads the routers.
//
// kInvalidArgument: a model without tasks; a task that it does not have, with those it has.
Result<MergedModel> TakeTask(const ModelSpec& spec, ParameterReader read, const std::string& task);

}  // namespace metier::model
