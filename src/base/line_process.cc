#include "base/line_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>
#include <utility>

#include "base/process.h"

namespace metier {
namespace {

using std::chrono::milliseconds;

// Waits for at most `patience`. False: it still runs.
bool EndsWithin(pid_t child, milliseconds patience, int& status) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (true) {
    const pid_t ended = ::waitpid(child, &status, WNOHANG);
    if (ended == child) return true;
    if (ended < 0 && errno != EINTR) return false;
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
}

}  // namespace

Result<LineProcess> LineProcess::Start(const std::string& command) {
  // One socket for both directions: unlike a pipe, writing to one whose reader is gone is an error
  // and no signal.
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return Error(ErrorCode::kIo, fmt::format("start '{}': {}", command, std::strerror(errno)));
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  std::string shell = "sh";
  std::string flag = "-c";
  std::string script = command;
  std::array<char*, 4> arguments = {shell.data(), flag.data(), script.data(), nullptr};
  pid_t child = -1;
  const int failed =
      ::posix_spawn(&child, "/bin/sh", &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  if (failed != 0) {
    ::close(ends[0]);
    return Error(ErrorCode::kIo, fmt::format("start '{}': {}", command, std::strerror(failed)));
  }
  return LineProcess(command, child, ends[0]);
}

LineProcess::LineProcess(LineProcess&& other) noexcept
    : command_(std::move(other.command_)),
      child_(std::exchange(other.child_, -1)),
      socket_(std::exchange(other.socket_, -1)),
      buffer_(std::move(other.buffer_)) {}

LineProcess& LineProcess::operator=(LineProcess&& other) noexcept {
  if (this != &other) {
    Stop();
    command_ = std::move(other.command_);
    child_ = std::exchange(other.child_, -1);
    socket_ = std::exchange(other.socket_, -1);
    buffer_ = std::move(other.buffer_);
  }
  return *this;
}

LineProcess::~LineProcess() { Stop(); }

void LineProcess::Stop() {
  if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  if (child_ < 0) return;
  constexpr milliseconds kToEnd(1000);
  int status = 0;
  if (!EndsWithin(child_, kToEnd, status)) {
    ::kill(-child_, SIGKILL);  // the whole group: a shell may have started others
    while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) {
    }
  }
  child_ = -1;
}

Result<std::string> LineProcess::Ask(std::string_view line, std::uint64_t longest,
                                     const std::function<bool()>& give_up) {
  if (socket_ < 0) return Ended();
  METIER_TRY(Send(std::string(line) + "\n", give_up));
  std::array<char, 4096> piece{};
  std::size_t seen = 0;
  while (true) {
    const std::size_t end = buffer_.find('\n', seen);
    if (std::min(end, buffer_.size()) > longest) {
      Stop();
      return Error(
          ErrorCode::kResourceExhausted,
          fmt::format("'{}' answers with more than {} bytes in a line", command_, longest));
    }
    if (end != std::string::npos) {
      std::string answer = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return answer;
    }
    seen = buffer_.size();
    METIER_TRY(Wait(For::kReading, give_up));
    const ssize_t got = ::recv(socket_, piece.data(), piece.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return Ended();
    buffer_.append(piece.data(), static_cast<std::size_t>(got));
  }
}

Status LineProcess::Send(std::string_view text, const std::function<bool()>& give_up) {
  while (!text.empty()) {
    METIER_TRY(Wait(For::kWriting, give_up));
    const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (sent < 0) return Ended();
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return Ok();
}

Status LineProcess::Wait(For what, const std::function<bool()>& give_up) const {
  constexpr int kTick = 100;  // milliseconds
  while (true) {
    if (give_up()) {
      return Error(ErrorCode::kIo, fmt::format("'{}' was not waited for any longer", command_));
    }
    pollfd waiting{};
    waiting.fd = socket_;
    waiting.events = POLLIN;
    if (what == For::kWriting) waiting.events = POLLOUT;
    const int ready = ::poll(&waiting, 1, kTick);
    if (ready > 0) return Ok();
    if (ready < 0 && errno != EINTR) {
      return Error(ErrorCode::kIo,
                   fmt::format("wait for '{}': {}", command_, std::strerror(errno)));
    }
  }
}

// The program closed its end: it ended, or is about to.
Error LineProcess::Ended() {
  std::string how = "takes no more lines";
  int status = 0;
  constexpr milliseconds kToEnd(1000);
  if (child_ >= 0 && EndsWithin(child_, kToEnd, status)) {
    child_ = -1;
    how = HowItEnded(status);
  }
  Stop();
  return Error(ErrorCode::kIo,
               fmt::format("'{}' {}, expected a line in answer to each line", command_, how));
}

}  // namespace metier
