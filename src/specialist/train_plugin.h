// specialist/train_plugin.h - the program's side of libmetier_train.so: loaded when training
// starts, never before.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/json.h"
#include "base/result.h"

namespace metier::specialist {

class TrainPlugin {
 public:
  // Looks beside the running program, in ../lib/metier beside it, then where METIER_TRAIN_PLUGIN
  // says (which comes first when set). kIo: it is in none of these, or cannot be loaded, with the
  // remedy; kUnsupported: another version of the interface.
  static Result<TrainPlugin> Load();

  // Runs a verb of include/metier/train_plugin.h. `event` sees each event and returns kStop to ask
  // for an early, resumable end.
  enum class Continue { kYes, kStop };
  // `answers`: to what the verb asks meanwhile.
  using Answers = std::function<Result<Json>(const Json& question)>;
  Result<Json> Call(const std::string& verb, const Json& request,
                    const std::function<Continue(const Json& event)>& event,
                    const Answers& answers = {}) const;

  const std::string& path() const { return path_; }

 private:
  struct Library;
  std::string path_;
  std::shared_ptr<const Library> library_;
};

}  // namespace metier::specialist
