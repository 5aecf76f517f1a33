// metier run: the main job: from a recipe to a specialist.
#include "specialist/run.h"

#include <fmt/format.h>

#include <cerrno>  // program_invocation_name
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "cli/interrupt.h"
#include "cli/verbs/verbs.h"

namespace metier::cli {
namespace {

struct RunVerbOptions {
  std::string recipe;
  std::string out;
  std::vector<std::string> set;
  std::vector<std::string> again;
  std::string until;
  bool plan = false;
  std::optional<std::int64_t> seed;
  std::int64_t threads = 0;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("RECIPE", recipe, "the recipe, a YAML file").Required();
    field("out", out, "folder of the run; without it runs/NAME, NAME being the recipe's");
    field("set", set, "change the recipe: PLACE=VALUE, e.g. stages.sft.train.learning_rate=1e-4");
    field("again", again, "run this stage even where its result is there");
    field("until", until, "stop after this stage");
    field("plan", plan, "print what would run, and run nothing");
    field("seed", seed, "of chance, instead of the recipe's").AtLeast(0);
    field("threads", threads, "CPU threads; 0: all cores").AtLeast(0).AtMost(1024);
  }
};

Json StageJson(const specialist::StageRecord& stage) {
  return {{"name", stage.name},      {"kind", stage.kind},     {"key", stage.key},
          {"folder", stage.folder},  {"cached", stage.cached}, {"seconds", stage.seconds},
          {"summary", stage.summary}};
}

Result<Outcome> PrintPlan(const specialist::RunOptions& options, Console& console) {
  METIER_ASSIGN(const std::vector<specialist::StageRecord> stages, specialist::PlanRecipe(options));
  Json list = Json::array();
  for (const specialist::StageRecord& stage : stages) {
    list.push_back(
        {{"name", stage.name}, {"kind", stage.kind}, {"key", stage.key}, {"cached", stage.cached}});
    if (!console.json()) {
      console.Print(fmt::format("{:<7} {:<10} {}\n", stage.cached ? "cached" : "run", stage.kind,
                                stage.name));
    }
  }
  if (console.json()) console.PrintJson({{"stages", std::move(list)}});
  return Outcome::kSuccess;
}

// How to talk to what was packaged, in words that work in the current folder; "" where nothing was.
std::string ChatCommand(const specialist::RunOutcome& outcome) {
  if (outcome.stages.empty() || outcome.stages.back().kind != "package" || !outcome.gate.empty() ||
      !outcome.interrupted.empty()) {
    return "";
  }
  namespace fs = std::filesystem;
  std::error_code nowhere;
  // By name: the link that points to the newest, not what it points to today.
  const fs::path specialist = fs::path(outcome.folder) / outcome.stages.back().name;
  const fs::path near = specialist.lexically_proximate(fs::current_path(nowhere));
  const bool below = !near.empty() && *near.begin() != "..";
  return fmt::format("{} chat {}", program_invocation_name, (below ? near : specialist).string());
}

void PrintOutcome(const specialist::RunOutcome& outcome, Console& console) {
  if (console.json()) {
    Json stages = Json::array();
    for (const auto& stage : outcome.stages) stages.push_back(StageJson(stage));
    console.PrintJson({{"folder", outcome.folder},
                       {"report", outcome.report},
                       {"passed", outcome.gate.empty() && outcome.interrupted.empty()},
                       {"gate", outcome.gate},
                       {"interrupted", outcome.interrupted},
                       {"stages", std::move(stages)},
                       {"summary", outcome.summary}});
    return;
  }
  for (const auto& stage : outcome.stages) {
    console.Print(fmt::format("{:<16} {:<10} {}\n", stage.name, stage.kind,
                              stage.cached ? "cached" : fmt::format("{:.1f} s", stage.seconds)));
    const bool table = stage.summary.is_object() && stage.summary.contains("table") &&
                       stage.summary["table"].is_string();
    if (table) console.Print("\n" + stage.summary["table"].get<std::string>() + "\n");
  }
  if (!outcome.gate.empty()) {
    console.Print(fmt::format("stopped: the gate of stage '{}' said no\n", outcome.gate));
  }
  if (!outcome.interrupted.empty()) {
    console.Print(fmt::format("interrupted in stage '{}': the same command goes on from there\n",
                              outcome.interrupted));
  }
  console.Print(fmt::format("report: {}\n", outcome.report));
  const std::string chat = ChatCommand(outcome);
  if (!chat.empty()) console.Print(fmt::format("talk to it: {}\n", chat));
}

Result<Outcome> Run(const RunVerbOptions& flags, Console& console) {
  specialist::RunOptions options;
  options.recipe = flags.recipe;
  options.folder = flags.out;
  options.again = flags.again;
  options.until = flags.until;
  options.threads =
      flags.threads > 0 ? static_cast<int>(flags.threads) : ThreadPool::DefaultThreads();
  for (const std::string& text : flags.set) {
    METIER_ASSIGN(specialist::Override change, specialist::ParseOverride(text));
    options.overrides.push_back(std::move(change));
  }
  if (flags.seed) options.overrides.push_back({"seed", std::to_string(*flags.seed)});
  if (flags.plan) return PrintPlan(options, console);
  const InterruptGuard guard;
  options.stop = &InterruptGuard::asked;
  METIER_ASSIGN(const specialist::RunOutcome outcome, specialist::RunRecipe(options));
  PrintOutcome(outcome, console);
  const bool done = outcome.gate.empty() && outcome.interrupted.empty();
  return done ? Outcome::kSuccess : Outcome::kWorkFailed;
}

}  // namespace

constinit const Verb kRunVerb = MakeVerb<RunVerbOptions, Run>(
    "run", "make a specialist from a recipe, end to end; goes on where it stopped",
    "metier run recipes/retail-support.yaml\n"
    "metier run recipes/retail-support.yaml --set base=models/Qwen2.5-0.5B-Instruct --out "
    "runs/qwen\n"
    "metier run recipes/retail-support.yaml --plan");

}  // namespace metier::cli
