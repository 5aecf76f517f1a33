// specialist/train_progress.h - the plug-in's events as a progress bar and log lines on stderr.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "base/progress.h"

namespace metier::specialist {

class TrainProgress {
 public:
  explicit TrainProgress(std::string label) : label_(std::move(label)) {}

  // Takes an event of include/metier/train_plugin.h; unknown ones are ignored.
  void OnEvent(const Json& event);

 private:
  std::string label_;
  std::optional<Progress> beginning_;  // of what is computed before the first step
  std::string beginning_of_;           // which of it
  std::optional<Progress> bar_;
};

}  // namespace metier::specialist
