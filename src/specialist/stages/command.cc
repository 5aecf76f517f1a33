// specialist/stages/command.cc - a stage that runs programs: generators and converters that are not
// part of Metier.
//
// A recipe with commands is as trusted as a Makefile: read it before you run it. Programs are
// started without a shell, in the recipe's folder.

#include <fmt/format.h>

#include <filesystem>

#include "base/process.h"
#include "specialist/stages/stages.h"

namespace metier::specialist {
namespace {

namespace fs = std::filesystem;

struct CommandSettings {
  std::vector<std::vector<std::string>> run;
  std::vector<std::string> outputs;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("run", run, "programs to run in order, each a list of its name and arguments").Required();
    field("outputs", outputs, "files that must exist afterwards, relative to ${out}");
  }
};

Status Check(const Json& config, const std::string& place) {
  CommandSettings settings;
  METIER_TRY(recipe::ReadFields(config, place, settings));
  for (const auto& arguments : settings.run) {
    if (arguments.empty() || arguments.front().empty()) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("{}.run: found a command without a program", place));
    }
  }
  return Ok();
}

ProcessOptions ProcessOf(const std::vector<std::string>& arguments, const std::string& folder) {
  return {.arguments = arguments, .search = {ProgramFolder()}, .folder = folder, .log = {}};
}

// The programs: another one makes other data. One that an earlier stage made is known by that.
Result<std::vector<std::string>> Programs(const Json& config, const std::string& recipe_folder) {
  CommandSettings settings;
  METIER_TRY(recipe::ReadFields(config, "command", settings));
  std::vector<std::string> programs;
  for (const auto& arguments : settings.run) {
    if (arguments.front().find("${") != std::string::npos) continue;
    METIER_ASSIGN(std::string program, FindProgram(ProcessOf(arguments, recipe_folder)));
    programs.push_back(std::move(program));
  }
  return programs;
}

Result<Json> Run(const StageContext& context) {
  CommandSettings settings;
  METIER_TRY(recipe::ReadFields(context.config, context.name, settings));
  int number = 0;
  for (const auto& arguments : settings.run) {
    ProcessOptions process = ProcessOf(arguments, context.recipe_folder);
    process.log = fmt::format("{}/command-{}.log", context.work, ++number);
    Status done = RunProcess(process);
    // Ctrl-C reaches the programs too: how they ended says nothing then.
    if (!done.ok() && context.StopAsked()) return Interrupted("the programs begin anew next time");
    METIER_TRY(done);
  }
  Json files = Json::object();
  for (const std::string& output : settings.outputs) {
    std::error_code failed;
    const auto size = fs::file_size(fs::path(context.work) / output, failed);
    if (failed) {
      return Error(ErrorCode::kNotFound,
                   fmt::format("output '{}' is not there after the commands ran: {}", output,
                               failed.message()));
    }
    files[output] = size;
  }
  return Json{{"commands", settings.run.size()}, {"outputs", std::move(files)}};
}

std::string Section(const StageRecord&) { return {}; }

}  // namespace

const StageKind kCommandStage = {"command",
                                 "run programs that make or convert data",
                                 StageKind::Leftovers::kClear,
                                 &Check,
                                 &Run,
                                 &Section,
                                 &SettingsSchema<CommandSettings>,
                                 /*result=*/"",
                                 &Programs};

}  // namespace metier::specialist
