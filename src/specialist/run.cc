#include "specialist/run.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "specialist/content_hash.h"
#include "specialist/report.h"

namespace metier::specialist {
namespace {

namespace fs = std::filesystem;

// Raise when a stage kind computes something else from the same settings: old results are then not
// found any more.
constexpr int kStageVersion = 1;

// Holds the run's folder for one process.
class RunLock {
 public:
  static Result<RunLock> Take(const std::string& folder) {
    const std::string path = folder + "/.lock";
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor < 0) return Error(ErrorCode::kIo, fmt::format("cannot create '{}'", path));
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
      ::close(descriptor);
      return Error(
          ErrorCode::kIo,
          fmt::format("'{}' is in use by another run: wait for it, or choose another folder",
                      folder));
    }
    return RunLock(descriptor);
  }
  RunLock(RunLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  RunLock& operator=(RunLock&&) = delete;
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;
  ~RunLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

 private:
  explicit RunLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

class Runner {
 public:
  Runner(Recipe recipe, RunOptions options, std::string folder)
      : recipe_(std::move(recipe)),
        options_(std::move(options)),
        folder_(std::move(folder)),
        hasher_(folder_ + "/hashes.json") {}

  Status Prepare() {
    METIER_TRY(CheckStageName(options_.until));
    for (const std::string& name : options_.again) METIER_TRY(CheckStageName(name));
    for (const auto& [name, path] : recipe_.inputs) {
      paths_[name] = path;
      METIER_ASSIGN(keys_[name], hasher_.OfPath(path));
    }
    paths_["seed"] = keys_["seed"] = std::to_string(recipe_.seed);
    return Ok();
  }

  // The stage's identity and place, its references resolved to where earlier stages lie.
  Result<StageRecord> Describe(const StageEntry& stage) {
    const std::string place = "stages." + stage.name;
    auto keys = keys_;
    keys["out"] = "out";
    METIER_ASSIGN(const Json keyed, Substitute(stage.config, keys, place));
    Json identity = {{"version", kStageVersion},
                     {"kind", stage.kind},
                     {"config", keyed},
                     {"seed", recipe_.seed}};
    const StageKind& kind = *FindStageKind(stage.kind);
    if (kind.keeps_recipe) identity["recipe"] = recipe_.document;
    if (kind.files != nullptr) {
      METIER_ASSIGN(const auto files, kind.files(stage.config, recipe_.folder));
      for (const std::string& file : files) {
        METIER_ASSIGN(const std::string hash, hasher_.OfPath(file));
        identity["files"].push_back(hash);
      }
    }
    StageRecord record;
    record.name = stage.name;
    record.kind = stage.kind;
    record.key = Sha256Hex(DumpCompact(identity));
    constexpr std::size_t kShown = 12;
    record.folder =
        fmt::format("{}/stages/{}-{}", folder_, stage.name, record.key.substr(0, kShown));
    record.cached = fs::exists(record.folder + "/stage.json");
    keys_[stage.name] = record.key;
    paths_[stage.name] =
        kind.result.empty() ? record.folder : fmt::format("{}/{}", record.folder, kind.result);
    return record;
  }

  Result<StageRecord> Run(const StageEntry& stage) {
    METIER_ASSIGN(StageRecord record, Describe(stage));
    const bool again =
        std::find(options_.again.begin(), options_.again.end(), stage.name) != options_.again.end();
    if (record.cached && !again) {
      METIER_TRY(ReadRecord(record));
      LogInfo(
          fmt::format("{}: cached ({})", stage.name, fs::path(record.folder).filename().string()));
      return record;
    }
    record.cached = false;
    METIER_TRY(Execute(stage, record));
    return record;
  }

  Status Link(const StageRecord& record) const {
    const std::string link = folder_ + "/" + record.name;
    const std::string fresh = link + ".new";
    std::error_code failed;
    fs::remove(fresh, failed);
    fs::create_directory_symlink(fs::relative(record.folder, folder_), fresh, failed);
    if (!failed) fs::rename(fresh, link, failed);
    if (failed) return Error(ErrorCode::kIo, fmt::format("link '{}': {}", link, failed.message()));
    return Ok();
  }

  const Recipe& recipe() const { return recipe_; }
  bool StopAsked() const { return options_.stop && options_.stop(); }
  const std::string& folder() const { return folder_; }
  Status SaveHashes() const { return hasher_.Save(); }

 private:
  Status CheckStageName(const std::string& name) const {
    const bool known =
        name.empty() || std::any_of(recipe_.stages.begin(), recipe_.stages.end(),
                                    [&](const StageEntry& stage) { return stage.name == name; });
    if (known) return Ok();
    return Error(ErrorCode::kInvalidArgument, fmt::format("the recipe has no stage '{}'", name));
  }

  static Status ReadRecord(StageRecord& record) {
    METIER_ASSIGN(const Json document, ReadJsonFile(record.folder + "/stage.json"));
    if (document.is_object()) {
      record.config = document.value("config", Json());
      record.summary = document.value("summary", Json());
      const auto seconds = document.find("seconds");
      if (seconds != document.end() && seconds->is_number())
        record.seconds = seconds->get<double>();
    }
    return Ok();
  }

  Status Execute(const StageEntry& stage, StageRecord& record) {
    const StageKind* kind = FindStageKind(stage.kind);
    const std::string work = record.folder + ".part";
    std::error_code failed;
    if (kind->leftovers == StageKind::Leftovers::kClear) fs::remove_all(work, failed);
    METIER_TRY(MakeDirectories(work));

    auto paths = paths_;
    paths["out"] = work;
    METIER_ASSIGN(const Json config, Substitute(stage.config, paths, "stages." + stage.name));
    const StageContext context{.name = stage.name,
                               .config = config,
                               .work = work,
                               .recipe_folder = recipe_.folder,
                               .recipe = recipe_.document,
                               .seed = recipe_.seed,
                               .threads = options_.threads,
                               .stop = options_.stop};
    LogInfo(fmt::format("{}: {}", stage.name, kind->help));
    const auto start = std::chrono::steady_clock::now();
    auto summary = kind->run(context);
    if (!summary.ok()) return std::move(summary).error().With("stage '" + stage.name + "'");
    record.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    record.summary = *std::move(summary);
    // What later stages and the report read must name the final folder, not the one under way.
    METIER_ASSIGN(record.config,
                  Substitute(stage.config, WithOut(record.folder), "stages." + stage.name));
    const Json document = {{"name", stage.name},        {"kind", stage.kind},
                           {"key", record.key},         {"config", record.config},
                           {"seconds", record.seconds}, {"summary", record.summary}};
    METIER_TRY(WriteFileAtomic(work + "/stage.json", DumpPretty(document)));
    return ReplaceDirectory(work, record.folder);
  }

  std::map<std::string, std::string> WithOut(const std::string& out) const {
    auto paths = paths_;
    paths["out"] = out;
    return paths;
  }

  Recipe recipe_;
  RunOptions options_;
  std::string folder_;
  ContentHasher hasher_;
  std::map<std::string, std::string> keys_;   // reference -> what it hashes to
  std::map<std::string, std::string> paths_;  // reference -> where it lies
};

Result<Runner> Begin(const RunOptions& options) {
  METIER_ASSIGN(Recipe recipe, ReadRecipe(options.recipe, options.overrides));
  std::string folder = options.folder.empty() ? "runs/" + recipe.name : options.folder;
  METIER_TRY(MakeDirectories(folder + "/stages"));
  folder = fs::canonical(folder).string();
  Runner runner(std::move(recipe), options, std::move(folder));
  METIER_TRY(runner.Prepare());
  return runner;
}

// An evaluation that is not good enough is a result, kept and reported; nothing is built on it.
bool GateSaidNo(const StageRecord& record) {
  const Json& summary = record.summary;
  return summary.is_object() && summary.contains("gate") && summary["gate"].is_object() &&
         summary["gate"].value("passed", true) == false;
}

Json Summarise(const RunOutcome& outcome) {
  Json stages = Json::array();
  for (const StageRecord& record : outcome.stages) {
    stages.push_back({{"name", record.name},
                      {"kind", record.kind},
                      {"cached", record.cached},
                      {"seconds", record.seconds},
                      {"folder", record.folder},
                      {"summary", record.summary}});
  }
  return {{"folder", outcome.folder},
          {"report", outcome.report},
          {"passed", outcome.gate.empty() && outcome.interrupted.empty()},
          {"stages", std::move(stages)}};
}

}  // namespace

Result<RunOutcome> RunRecipe(const RunOptions& options) {
  METIER_ASSIGN(Runner runner, Begin(options));
  METIER_ASSIGN(const RunLock lock, RunLock::Take(runner.folder()));
  METIER_TRY(runner.SaveHashes());
  METIER_TRY(
      WriteFileAtomic(runner.folder() + "/recipe.json", DumpPretty(runner.recipe().document)));

  RunOutcome outcome;
  outcome.folder = runner.folder();
  outcome.report = runner.folder() + "/report.html";
  for (const StageEntry& stage : runner.recipe().stages) {
    if (runner.StopAsked()) {
      outcome.interrupted = stage.name;
      break;
    }
    Result<StageRecord> record = runner.Run(stage);
    if (!record.ok() && runner.StopAsked()) {
      LogInfo(record.error().message());
      outcome.interrupted = stage.name;
      break;
    }
    METIER_TRY(record);
    METIER_TRY(runner.Link(*record));
    outcome.stages.push_back(*std::move(record));
    if (GateSaidNo(outcome.stages.back())) {
      outcome.gate = stage.name;
      break;
    }
    if (stage.name == options.until) break;
  }
  METIER_TRY(WriteFileAtomic(outcome.report, ReportHtml(runner.recipe(), outcome.stages)));
  outcome.summary = Summarise(outcome);
  return outcome;
}

Result<std::vector<StageRecord>> PlanRecipe(const RunOptions& options) {
  METIER_ASSIGN(Runner runner, Begin(options));
  std::vector<StageRecord> plan;
  for (const StageEntry& stage : runner.recipe().stages) {
    METIER_ASSIGN(StageRecord record, runner.Describe(stage));
    plan.push_back(std::move(record));
  }
  return plan;
}

}  // namespace metier::specialist
