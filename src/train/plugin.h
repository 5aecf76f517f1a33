// train/plugin.h - the verbs behind include/metier/train_plugin.h.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "train/trainer.h"

namespace metier::train {

// Runs a verb. kInvalidArgument: no such verb (with the nearest).
Result<Json> CallVerb(const std::string& verb, const Json& request, const EventSink& sink,
                      const Ask& ask = {});

}  // namespace metier::train
