// specialist/rollouts.h - answers a training run's question for answers (src/train/rollouts.h): the
// native engine writes them, with the adapter as it is now, all prompts together.
#pragma once

#include <memory>

#include "base/json.h"
#include "base/result.h"

namespace metier::specialist {

// Opens the model at the first question and keeps it: adapters come and go.
class Rollouts {
 public:
  Rollouts();
  ~Rollouts();
  Rollouts(const Rollouts&) = delete;
  Rollouts& operator=(const Rollouts&) = delete;

  // kUnsupported: another question. Else what opening and answering say.
  Result<Json> Answer(const Json& question);

 private:
  struct Engine;
  std::unique_ptr<Engine> engine_;
};

}  // namespace metier::specialist
