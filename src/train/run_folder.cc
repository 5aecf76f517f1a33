#include "train/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/svg_plot.h"
#include "format/folder_files.h"

namespace metier::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCheckpoint = "checkpoint-";
constexpr std::string_view kTemporary = "tmp-";
constexpr const char* kLogName = "/trainer_log.jsonl";

std::optional<std::int64_t> StepOf(const std::string& name) {
  if (name.rfind(kCheckpoint, 0) != 0) return std::nullopt;
  std::int64_t step = 0;
  const char* begin = name.data() + kCheckpoint.size();
  const char* end = name.data() + name.size();
  const auto parsed = std::from_chars(begin, end, step);
  if (parsed.ec != std::errc() || parsed.ptr != end || step < 0) return std::nullopt;
  return step;
}

std::vector<std::string> NamesIn(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

// What a killed process leaves: directories of Write and Prune, and files on their way to an atomic
// rename in the run's own folder.
bool LeftOver(const std::string& name) {
  if (name.rfind(kTemporary, 0) == 0) return true;
  for (const std::string_view file : {"trainer_log.jsonl.", "training_loss.svg."})
    if (name.rfind(file, 0) == 0 && name.size() > 4 && name.substr(name.size() - 4) == ".tmp")
      return true;
  return false;
}

Status RemoveTree(const std::string& path) {
  std::error_code failed;
  fs::remove_all(path, failed);
  if (failed) return Error(ErrorCode::kIo, fmt::format("remove '{}': {}", path, failed.message()));
  return Ok();
}

// Whether most of a curve would lie flat on the axis beside its beginning.
bool RangesWidely(const std::vector<double>& values) {
  constexpr double kWide = 20;
  double low = std::numeric_limits<double>::infinity();
  double high = 0;
  for (const double value : values) {
    if (!(value > 0) || !std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  return high > kWide * low;
}

}  // namespace

RunFolder::RunFolder(RunFolder&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

RunFolder::~RunFolder() {
  if (lock_ >= 0) ::close(lock_);
}

Result<RunFolder> RunFolder::Open(const std::string& path) {
  METIER_TRY(MakeDirectories(path));
  RunFolder folder(path);
  const std::string lock = path + "/.lock";
  folder.lock_ = ::open(lock.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  if (folder.lock_ < 0)
    return Error(ErrorCode::kIo, fmt::format("open '{}': {}", lock, std::strerror(errno)));
  // The system drops the lock with the process, however it ends.
  if (::flock(folder.lock_, LOCK_EX | LOCK_NB) != 0) {
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("'{}': another process is training into this directory; wait for it or "
                    "choose another output_dir",
                    path));
  }
  for (const std::string& name : NamesIn(path))
    if (LeftOver(name)) METIER_TRY(RemoveTree(path + "/" + name));
  return folder;
}

std::string RunFolder::CheckpointPath(std::int64_t step) const {
  return fmt::format("{}/{}{}", path_, kCheckpoint, step);
}

std::vector<std::int64_t> RunFolder::Checkpoints() const {
  std::vector<std::int64_t> steps;
  for (const std::string& name : NamesIn(path_))
    if (const auto step = StepOf(name)) steps.push_back(*step);
  std::sort(steps.begin(), steps.end());
  return steps;
}

Status RunFolder::Write(const std::string& name,
                        const std::function<Status(const std::string& folder)>& fill) const {
  const std::string temporary = fmt::format("{}/{}{}-{}", path_, kTemporary, ::getpid(), name);
  METIER_TRY(MakeDirectories(temporary));
  Status written = fill(temporary);
  if (written.ok()) written = ReplaceDirectory(temporary, path_ + "/" + name);
  if (written.ok()) return Ok();
  // The first error is what the user needs; the rest is tried and left to the next run if it fails.
  static_cast<void>(RemoveTree(temporary).ok());
  return std::move(written).error().With(fmt::format("write '{}/{}'", path_, name));
}

Status RunFolder::Prune(std::int64_t limit) const {
  if (limit <= 0) return Ok();
  const std::vector<std::int64_t> steps = Checkpoints();
  for (std::size_t i = 0; i + static_cast<std::size_t>(limit) < steps.size(); ++i)
    METIER_TRY(RemoveCheckpoint(steps[i]));
  return Ok();
}

Status RunFolder::RemoveCheckpoints() const {
  for (const std::int64_t step : Checkpoints()) METIER_TRY(RemoveCheckpoint(step));
  return Ok();
}

Status RunFolder::RemoveCheckpoint(std::int64_t step) const {
  // Renamed first: a kill in the middle of the removal must not leave half a checkpoint.
  const std::string from = CheckpointPath(step);
  const std::string to = fmt::format("{}/{}{}-old-{}", path_, kTemporary, ::getpid(), step);
  if (std::rename(from.c_str(), to.c_str()) != 0)
    return Error(ErrorCode::kIo, fmt::format("rename '{}': {}", from, std::strerror(errno)));
  return RemoveTree(to);
}

Status RunFolder::Log(const Json& line) const {
  const std::string path = path_ + kLogName;
  std::ofstream file(path, std::ios::app);
  file << DumpCompact(line) << '\n';
  file.flush();
  if (!file)
    return Error(ErrorCode::kIo, fmt::format("write '{}' failed; is the disk full?", path));
  return Ok();
}

Status RunFolder::RewindLog(std::int64_t step) const {
  const std::string path = path_ + kLogName;
  std::ifstream file(path);
  if (!file) return Ok();
  std::string kept;
  for (std::string line; std::getline(file, line);) {
    const Result<Json> parsed = ParseJson(line);
    if (!parsed.ok() || !parsed->is_object()) continue;  // the torn last line of a killed run
    const auto at = parsed->find("current_steps");
    if (at == parsed->end() || !at->is_number_integer()) continue;
    if (at->get<std::int64_t>() <= step) kept += line + "\n";
  }
  file.close();
  return WriteFileAtomic(path, kept);
}

Result<std::vector<std::string>> CopyTokenizerFiles(const std::string& from,
                                                    const std::string& to) {
  std::vector<std::string> copied;
  for (const std::string_view name : format::kCopiedTokenizerFiles) {
    const std::string source = fmt::format("{}/{}", from, name);
    std::error_code failed;
    if (!fs::is_regular_file(source, failed)) continue;
    METIER_TRY(CopyFile(source, fmt::format("{}/{}", to, name)));
    copied.emplace_back(name);
  }
  return copied;
}

Result<std::string> LossCurve(const Json& log_history) {
  PlotLine raw;
  raw.label = "loss";
  raw.opacity = 0.4;
  PlotLine evaluated;
  evaluated.label = "eval_loss";
  evaluated.colour = 1;
  for (const Json& entry : log_history) {
    const auto step = entry.find("step");
    if (step == entry.end() || !step->is_number()) continue;
    const auto add = [&](const char* key, PlotLine& line) {
      const auto value = entry.find(key);
      if (value == entry.end() || !value->is_number()) return;
      line.x.push_back(step->get<double>());
      line.y.push_back(value->get<double>());
    };
    add("loss", raw);
    add("eval_loss", evaluated);
  }
  Plot plot;
  plot.title = "Training loss";
  plot.x_label = "step";
  plot.y_label = "loss (nats per token)";
  plot.log_y = RangesWidely(raw.y);
  constexpr double kSmoothing = 0.9;  // about ten points of the log
  PlotLine smooth{.label = "smoothed", .x = raw.x, .y = Smooth(raw.y, kSmoothing)};
  plot.lines.push_back(std::move(raw));
  plot.lines.push_back(std::move(smooth));
  if (!evaluated.x.empty()) plot.lines.push_back(std::move(evaluated));
  return SvgPlot(plot);
}

}  // namespace metier::train
