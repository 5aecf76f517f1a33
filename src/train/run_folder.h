// train/run_folder.h - the output directory of a run: checkpoints, log, curve. Survives kill -9 and
// a full disk.
//
//   OUT/checkpoint-<step>/     complete by construction: written as OUT/tmp-<pid>-..., then renamed
//   OUT/final/                 the result, likewise
//   OUT/trainer_log.jsonl      one line a logging step
//   OUT/training_loss.svg
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace metier::train {

class RunFolder {
 public:
  // Creates the directory, takes its lock and removes what a killed run left half-written.
  // kInvalidArgument: another process trains into it.
  static Result<RunFolder> Open(const std::string& path);
  RunFolder(RunFolder&& other) noexcept;
  RunFolder& operator=(RunFolder&&) = delete;
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;
  ~RunFolder();

  const std::string& path() const { return path_; }
  std::string CheckpointPath(std::int64_t step) const;

  // Steps of the complete checkpoints, rising.
  std::vector<std::int64_t> Checkpoints() const;

  // Calls fill(temporary directory), then moves it to OUT/name. On an error nothing is left behind
  // and an older OUT/name stays.
  Status Write(const std::string& name,
               const std::function<Status(const std::string& folder)>& fill) const;

  // Removes the oldest checkpoints until `limit` are left; 0 keeps all.
  Status Prune(std::int64_t limit) const;
  // All of them.
  Status RemoveCheckpoints() const;

  // Appends a line to trainer_log.jsonl.
  Status Log(const Json& line) const;

  // Drops lines of steps after `step`: a resumed run writes them again.
  Status RewindLog(std::int64_t step) const;

 private:
  explicit RunFolder(std::string path) : path_(std::move(path)) {}
  Status RemoveCheckpoint(std::int64_t step) const;

  std::string path_;
  int lock_ = -1;
};

// Copies the tokenizer's and generation's files (tokenizer.json, chat_template.jinja, ...) that
// `from` has. Returns their names.
Result<std::vector<std::string>> CopyTokenizerFiles(const std::string& from, const std::string& to);

// The raw and the smoothed loss over steps, and eval_loss where there is one, from log_history.
Result<std::string> LossCurve(const Json& log_history);

}  // namespace metier::train
