// train/write_adapter.h - the plug-in's verb that asks a hypernetwork for an adapter.
#pragma once

#include "base/json.h"
#include "base/result.h"

namespace metier::train {

// {"hypernetwork", "model": its base, "describe": text, "description_ids": its tokens, "out":
// folder, "device", "threads"}. Writes a PEFT adapter, and a manifest.json that says what was asked
// for and of which files it was made. Returns {"out", "base", "modules", "rank", "tokens"}.
// kInvalidArgument: another base than the hypernetwork was trained on; what ReadDescription
// refuses. Other errors: Hypernetwork::Load.
Result<Json> WriteAdapter(const Json& request);

}  // namespace metier::train
