#include "base/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
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

// What the child does between fork and exec: only what is safe when other threads held locks. The
// program dies with us: left alone by a killed run, it would write into what the next run clears.
[[noreturn]] void Become(const char* program, char* const* arguments, const char* log,
                         const std::string& folder, pid_t parent) {
  constexpr int kCannot = 127;  // as shells say it
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kCannot);  // it died before that
  const int in = ::open("/dev/null", O_RDONLY);
  const int out = ::open(log, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (in < 0 || out < 0 || ::dup2(in, STDIN_FILENO) < 0 || ::dup2(out, STDOUT_FILENO) < 0 ||
      ::dup2(out, STDERR_FILENO) < 0) {
    ::_exit(kCannot);
  }
  ::close(in);
  ::close(out);
  if (!folder.empty() && ::chdir(folder.c_str()) != 0) ::_exit(kCannot);
  ::execve(program, arguments, environ);
  ::_exit(kCannot);
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

std::string HowItEnded(int status) {
  return WIFSIGNALED(status) ? fmt::format("was killed by signal {}", WTERMSIG(status))
                             : fmt::format("ended with code {}", WEXITSTATUS(status));
}

Status RunProcess(const ProcessOptions& options) {
  METIER_CHECK(!options.arguments.empty(), "a process needs a program");
  METIER_ASSIGN(const std::string program, FindProgram(options));

  const std::string log = options.log.empty() ? "/dev/null" : fs::absolute(options.log).string();
  std::vector<std::string> arguments = options.arguments;
  std::vector<char*> pointers;
  pointers.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) Become(program.c_str(), pointers.data(), log.c_str(), options.folder, parent);
  if (child < 0) {
    return Error(ErrorCode::kIo,
                 fmt::format("cannot start '{}': {}", program, std::strerror(errno)));
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR)
      return Error(ErrorCode::kIo, fmt::format("wait for '{}': {}", program, std::strerror(errno)));
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return Ok();
  return Error(ErrorCode::kIo,
               fmt::format("'{}' {}; its log '{}' ends:\n{}", fmt::join(options.arguments, " "),
                           HowItEnded(status), log, TailOf(log)));
}

std::string ProgramFolder() {
  std::error_code failed;
  const fs::path program = fs::read_symlink("/proc/self/exe", failed);
  return failed ? "." : program.parent_path().string();
}

}  // namespace metier
