// merge/evolve.h - the numbers that a merge leaves open, found by CMA-ES: Akiba et al. 2024
// ("Evolutionary optimization of model merging recipes", arXiv 2403.13187), in parameter space.
//
// What a merge is worth is the caller's: a function from a configuration without open numbers to a
// figure, the smaller the better. It must depend on the configuration alone, or a run that goes on
// after it was killed is another one.
//
// The folder of a run:
//
//   state.json       after every generation, atomically: what it needs to go on
//   best.yml         the best configuration so far, `metier merge` reads it
//   generations.svg  the course of the search
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "merge/open_numbers.h"

namespace metier::merge {

struct EvolveOptions {
  std::int64_t generations = 20;
  std::int64_t population = 0;  // 0: the search's own
  double sigma = 0.25;          // in widths of the ranges
  std::uint64_t seed = 1;
  // What the values depend on beside the configuration (hashes of models and texts, how they are
  // measured): a run goes on where this and the configuration without `evolve` are the same.
  Json inputs = Json::object();
};

// What one generation found. Values that are not finite count for `best`, not for the mean.
struct GenerationRecord {
  double best = 0;   // of its merges
  double mean = 0;   // of them
  double sigma = 0;  // of the search, after it
  double best_so_far = 0;
};

struct Evolution {
  std::vector<OpenNumber> open;
  double start = std::numeric_limits<double>::quiet_NaN();  // the value where the search began
  double best = std::numeric_limits<double>::infinity();
  std::vector<double> numbers;  // that gave `best`
  std::vector<GenerationRecord> generations;
  std::int64_t evaluations = 0;  // over all runs of the folder
  Json config;                   // the document with these numbers, without `evolve`
};

using Objective = std::function<Result<double>(const Json& config)>;

// Runs the search in `folder`, which is made, or goes on with what stands there. Before the first
// generation the starting point itself is valued, so that the best is never worse than it.
//
// `progress` hears of merges that were valued, the best value as its note; its error ends the run
// between two of them, and what the generation had so far is computed again next time.
// kInvalidArgument: the folder holds a run of another configuration, or of other inputs.
// kDataCorrupt: no open number; a state that no run wrote. Errors of the objective end the run.
Result<Evolution> Evolve(const Json& document, const EvolveOptions& options,
                         const std::string& folder, const Objective& objective,
                         const OnProgress& progress = {});

}  // namespace metier::merge
