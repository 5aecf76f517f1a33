// cli/command_line.h - from words to a verb: finding it, help, errors, the exit code.
#pragma once

#include <cstdio>
#include <span>
#include <string>
#include <string_view>

#include "cli/exit_code.h"
#include "cli/flags.h"
#include "cli/verb.h"

namespace metier::cli {

struct Streams {
  std::FILE* in;
  std::FILE* out;
  std::FILE* err;
};

// Everything behind the program's name. An error is one message on `err` and nothing on `out`.
ExitCode Run(std::span<const std::string> words, const FlagList::Environment& environment,
             const Streams& streams);

// The program: Run over the process's own words, environment and streams.
int Main(int argc, char** argv);

// "metier --help": the verbs, one line each. The verbs of two words that begin with `first`
// ("data"),
// "" where there are none. And one verb's page.
std::string HelpOfProgram();
std::string HelpOfGroup(std::string_view first);
std::string HelpOfVerb(const Verb& verb);

}  // namespace metier::cli
