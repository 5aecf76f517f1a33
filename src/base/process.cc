#include "base/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/file.h"

namespace metier {
namespace {

namespace fs = std::filesystem;

bool IsProgram(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
}

// The last lines of a log, for an error message.
std::string TailOf(const std::string& path) {
  constexpr std::uint64_t kMostBytes = 64ULL << 20;
  constexpr std::size_t kShown = 2000;
  const auto text = ReadFile(path, kMostBytes);
  if (!text.ok()) return "(no log)";
  if (text->size() <= kShown) return *text;
  const std::size_t line = text->find('\n', text->size() - kShown);
  return text->substr(line == std::string::npos ? text->size() - kShown : line + 1);
}

}  // namespace

Result<std::string> FindProgram(const ProcessOptions& options) {
  const std::string& name = options.arguments.front();
  if (name.find('/') != std::string::npos) {
    const fs::path path = fs::path(options.folder) / name;
    if (IsProgram(path)) return fs::absolute(path).string();
    return Error(ErrorCode::kNotFound, fmt::format("'{}' is not a program", path.string()));
  }
  std::vector<std::string> places = options.search;
  const char* path = std::getenv("PATH");
  std::string rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const std::size_t colon = rest.find(':');
    places.push_back(rest.substr(0, colon));
    rest = colon == std::string::npos ? "" : rest.substr(colon + 1);
  }
  for (const std::string& place : places) {
    if (!place.empty() && IsProgram(fs::path(place) / name))
      return fs::absolute(fs::path(place) / name).string();
  }
  return Error(ErrorCode::kNotFound,
               fmt::format("program '{}': found in none of {}", name, fmt::join(places, ", ")));
}

Status RunProcess(const ProcessOptions& options) {
  METIER_CHECK(!options.arguments.empty(), "a process needs a program");
  METIER_ASSIGN(const std::string program, FindProgram(options));

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  const std::string log = options.log.empty() ? "/dev/null" : fs::absolute(options.log).string();
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0644);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  if (!options.folder.empty())
    posix_spawn_file_actions_addchdir_np(&actions, options.folder.c_str());

  std::vector<std::string> arguments = options.arguments;
  std::vector<char*> pointers;
  pointers.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  pid_t child = 0;
  const int failed =
      ::posix_spawn(&child, program.c_str(), &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) {
    return Error(ErrorCode::kIo,
                 fmt::format("cannot start '{}': {}", program, std::strerror(failed)));
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR)
      return Error(ErrorCode::kIo, fmt::format("wait for '{}': {}", program, std::strerror(errno)));
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return Ok();
  const std::string how = WIFSIGNALED(status)
                              ? fmt::format("was killed by signal {}", WTERMSIG(status))
                              : fmt::format("ended with code {}", WEXITSTATUS(status));
  return Error(ErrorCode::kIo,
               fmt::format("'{}' {}; its log '{}' ends:\n{}", fmt::join(options.arguments, " "),
                           how, log, TailOf(log)));
}

std::string ProgramFolder() {
  std::error_code failed;
  const fs::path program = fs::read_symlink("/proc/self/exe", failed);
  return failed ? "." : program.parent_path().string();
}

}  // namespace metier
