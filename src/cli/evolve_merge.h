// cli/evolve_merge.h - open numbers of a merge found by the losses of held-out texts, each merge
// tried in memory.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "base/result.h"

namespace metier::cli {

struct EvolveRequest {
  std::string config;        // YAML file with `evolve` and open numbers
  std::string out;           // folder of the run; goes on with what stands there
  std::int64_t threads = 0;  // of the engine; 0: all cores
};

// Searches (merge/evolve.h), then writes the best merge into OUT/merged. What is tried has the
// values that would be written: rounded to `dtype`, so that the figures are those of the result.
//
//   {"out", "merged", "best_config", "start", "best", "generations", "evaluations",
//    "values": {place: number}, "losses": {file: loss of the result}, "models": {model: value}}
//
// "models" is what each model alone is worth, by the same measure. kInvalidArgument: no `evolve`;
// what merge::Evolve and PlanMerge say. While an InterruptGuard lives and was asked: an error, the
// state of the last generation saved.
Result<Json> EvolveMerge(const EvolveRequest& request);

}  // namespace metier::cli
