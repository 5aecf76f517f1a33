// base/process.h - running another program: arguments as a list (no shell), its output in a log
// file.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace metier {

struct ProcessOptions {
  std::vector<std::string>
      arguments;  // the program first: a path, or a name looked up in `search` and then PATH
  std::vector<std::string> search;  // folders looked in before PATH
  std::string folder;               // to run in; "": the current one
  std::string log;                  // stdout and stderr go here (created anew)
};

// Where the program of `arguments` lies; requires one. kNotFound: no such program, with the places
// looked in.
Result<std::string> FindProgram(const ProcessOptions& options);

// Waits for the program to end; it is killed where this process is. kNotFound: no such program,
// with the places looked in. kIo: it could not be started, or ended with another code than 0; the
// message quotes the last lines of the log.
Status RunProcess(const ProcessOptions& options);

// "ended with code 3" or "was killed by signal 9", of a status that waitpid gave.
std::string HowItEnded(int status);

// The folder of the program that is running: where its companions (plug-in, examples) are looked
// for first.
std::string ProgramFolder();

}  // namespace metier
