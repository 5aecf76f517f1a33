// train/run_state.h - how far a run is, as its checkpoints and its log tell it.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "recipe/train_config.h"

namespace metier::train {

struct RunState {
  struct LogWindow {  // since the last line of the log
    double loss = 0;
    std::int64_t steps = 0;
  };

  std::int64_t step = 0;   // steps done
  std::int64_t total = 0;  // steps to do
  double epoch = 0;
  std::int64_t tokens = 0;  // seen
  double elapsed = 0;       // seconds, of all processes together
  double last_loss = std::nan("");
  double eval_loss = std::nan("");
  std::int64_t eval_step = -1;     // the step that eval_loss is of
  std::int64_t general_step = -1;  // the last step that a general loss is of: the first or the last
  double general_before = std::nan("");
  double general_after = std::nan("");
  LogWindow window;
  Json history = Json::array();  // lines of the log
};

// A number, or null where it is not finite.
Json FiniteOrNull(double value);

// What must be the same for a run to be continued: all but where, how fast and how often.
Json ResumeKey(const recipe::TrainConfig& config);

// Writes the state for a checkpoint: Hugging Face's names where they exist. `inputs`: hashes of
// what the run reads.
Status WriteState(const std::string& checkpoint, const RunState& state,
                  const recipe::TrainConfig& config, const Json& inputs);

// All of it but `total`. kDataCorrupt: not a state that WriteState wrote. kInvalidArgument: of a
// run with another configuration (in more than where, how fast and how often) or other inputs; the
// first difference is named.
Result<RunState> ReadState(const std::string& checkpoint, const recipe::TrainConfig& config,
                           const Json& inputs);

}  // namespace metier::train
