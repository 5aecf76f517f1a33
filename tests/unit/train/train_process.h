// tests/unit/train/train_process.h - a process that trains (train_once.cc), and may be killed.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/json.h"
#include "support/fixtures.h"

extern char** environ;

namespace metier::train {

class TrainProcess {
 public:
  struct Options {
    std::string bytes = "";                     // no file may become larger
    std::vector<std::string> environment = {};  // "NAME=value", beside this process's own
    std::string name = "child";                 // of its configuration's file
  };

  // Returns when the training begins.
  TrainProcess(const std::string& folder, const Json& config) { Start(folder, config, Options()); }
  TrainProcess(const std::string& folder, const Json& config, const Options& options) {
    Start(folder, config, options);
  }
  ~TrainProcess() {
    if (said_ >= 0) ::close(said_);
    if (id_ > 0) {  // a test that failed amid
      ::kill(id_, SIGKILL);
      ::waitpid(id_, nullptr, 0);
    }
  }
  TrainProcess(const TrainProcess&) = delete;
  TrainProcess& operator=(const TrainProcess&) = delete;

  void Send(int signal) const { ::kill(id_, signal); }
  void Kill() const { Send(SIGKILL); }

  // What it says next; empty at its end.
  std::string ReadLine() const {
    std::string line;
    for (char c = 0; ::read(said_, &c, 1) == 1 && c != '\n';) line += c;
    return line;
  }

  int Wait() const {
    int status = -1;
    EXPECT_EQ(::waitpid(id_, &status, 0), id_);
    id_ = -1;
    return status;
  }

 private:
  void Start(const std::string& folder, const Json& config, const Options& options) {
    const char* bin = std::getenv("METIER_BIN");
    EXPECT_NE(bin, nullptr) << "METIER_BIN names the folder of train_once";
    if (bin == nullptr) return;
    const std::string program = std::string(bin) + "/train_once";
    const std::string file = folder + "/" + options.name + ".json";
    test::WriteAll(file, DumpCompact(config));
    std::vector<std::string> arguments = {program, file};
    if (!options.bytes.empty()) arguments.push_back(options.bytes);
    std::vector<std::string> variables = options.environment;
    for (char** own = environ; *own != nullptr; ++own) variables.emplace_back(*own);
    const std::vector<char*> words = Pointers(arguments);
    const std::vector<char*> values = Pointers(variables);
    int ends[2] = {-1, -1};
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    id_ = ::fork();
    if (id_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::execve(program.c_str(), words.data(), values.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    said_ = ends[0];
    EXPECT_EQ(ReadLine(), "begins") << program;
  }

  static std::vector<char*> Pointers(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
  }

  mutable pid_t id_ = -1;
  int said_ = -1;
};

inline bool Succeeded(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }

}  // namespace metier::train
