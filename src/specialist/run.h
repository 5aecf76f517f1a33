// specialist/run.h - running a recipe: every stage once, cached by the hash of what goes in,
// resumable at any moment.
//
//   RUN/                      runs/NAME by default
//     recipe.json             as it was run, overrides applied
//     stages/STAGE-KEY/       a finished stage: its files and stage.json, written last
//     stages/STAGE-KEY.part/  one under way; left by a kill, taken up (train) or begun anew by the
//     next run STAGE -> stages/...     the current result of each stage report.html
//
// KEY hashes the kind, its version, the settings, the seed, and the content of every input and
// earlier stage referred to: change a setting and only what depends on it runs again; change it
// back and the old result is found.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "specialist/recipe.h"
#include "specialist/stage.h"

namespace metier::specialist {

struct RunOptions {
  std::string recipe;  // path
  std::string folder;  // of the run; "": runs/NAME beside the current folder
  std::vector<Override> overrides;
  std::vector<std::string> again;  // stages to run even when cached
  std::string until;               // last stage to run; "": all
  int threads = 1;
  std::function<bool()> stop;  // asked from time to time: should the run end? Absent: never
};

struct RunOutcome {
  std::string folder;
  std::string report;  // path of report.html
  std::vector<StageRecord> stages;
  std::string gate;         // the stage whose gate said no, after which none ran; "": all passed
  std::string interrupted;  // the stage that `stop` ended or kept from beginning; "": none
  Json summary;             // for --json
};

// kInvalidArgument: no such stage in `again` or `until`; otherwise what the stages say, with the
// stage's name in front. Two runs in one folder exclude each other (kIo, naming the
// folder).
Result<RunOutcome> RunRecipe(const RunOptions& options);

// What RunRecipe would do: stages with their keys and whether they are cached. Runs nothing.
Result<std::vector<StageRecord>> PlanRecipe(const RunOptions& options);

}  // namespace metier::specialist
