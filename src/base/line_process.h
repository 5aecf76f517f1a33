// base/line_process.h - a program beside us that answers lines with lines.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace metier {

// Owns the program: it sees the end of its input when the object goes, and is killed where it does
// not end on that. It runs with the caller's rights; its stderr is the caller's.
class LineProcess {
 public:
  // Starts `command` through /bin/sh, in a process group of its own: a Ctrl-C is not for it.
  // kIo: no process can be had. A command that is not found shows when it is first asked.
  static Result<LineProcess> Start(const std::string& command);

  LineProcess(const LineProcess&) = delete;
  LineProcess& operator=(const LineProcess&) = delete;
  LineProcess(LineProcess&& other) noexcept;
  LineProcess& operator=(LineProcess&& other) noexcept;
  ~LineProcess();

  // Writes `line`, which holds no line feed, and waits for one line, given without its line feed.
  // kIo: the program ended (with how), or `give_up` became true, which is asked ten times a second.
  // kResourceExhausted: an answer of more than `longest` bytes. After an error nothing more can be
  // asked.
  Result<std::string> Ask(std::string_view line, std::uint64_t longest,
                          const std::function<bool()>& give_up);

 private:
  LineProcess(std::string command, pid_t child, int socket)
      : command_(std::move(command)), child_(child), socket_(socket) {}

  Status Send(std::string_view text, const std::function<bool()>& give_up);
  enum class For { kReading, kWriting };
  // Waits until the socket is ready.
  Status Wait(For what, const std::function<bool()>& give_up) const;
  Error Ended();
  void Stop();

  std::string command_;
  pid_t child_ = -1;
  int socket_ = -1;
  std::string buffer_;  // read, not yet part of an answer
};

}  // namespace metier
