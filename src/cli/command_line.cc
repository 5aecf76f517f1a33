#include "cli/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <new>
#include <vector>

#include "base/nearest.h"

namespace metier::cli {
namespace {

constexpr const char* kVersion = METIER_VERSION;

struct FoundVerb {
  const Verb* verb = nullptr;
  std::size_t words = 0;  // that its name took
};

// The longest name that the words begin with, so that "eval diff" wins over "eval".
FoundVerb FindVerb(std::span<const std::string> words) {
  FoundVerb found;
  for (const Verb* verb : Verbs()) {
    const std::size_t parts = verb->name.find(' ') == std::string_view::npos ? 1 : 2;
    if (words.size() < parts || parts <= found.words) continue;
    const std::string start = parts == 1 ? words[0] : words[0] + " " + words[1];
    if (start == verb->name) found = {verb, parts};
  }
  return found;
}

// The message for words that no verb begins with.
std::string UnknownVerb(std::span<const std::string> words) {
  std::vector<std::string> names;
  std::string group;  // "data" in "metier data chekc"
  for (const Verb* verb : Verbs()) {
    const std::size_t space = verb->name.find(' ');
    if (space != std::string_view::npos && verb->name.substr(0, space) == words[0]) {
      group += fmt::format("{}'{}'", group.empty() ? "" : ", ", verb->name);
    }
    names.emplace_back(verb->name.substr(0, space));
  }
  if (!group.empty()) {
    if (words.size() == 1)
      return fmt::format("verb '{}' is incomplete: there are {}", words[0], group);
    return fmt::format("unknown verb '{} {}': there are {}", words[0], words[1], group);
  }
  const std::string nearest = NearestName(words[0], names);
  if (!nearest.empty())
    return fmt::format("unknown verb '{}': did you mean '{}'?", words[0], nearest);
  return fmt::format("unknown verb '{}': 'metier --help' lists the verbs", words[0]);
}

bool Asks(std::span<const std::string> words, std::string_view flag) {
  for (const std::string& word : words) {
    if (word == "--") return false;
    if (word == flag) return true;
  }
  return false;
}

ExitCode Report(const Streams& streams, std::string_view where, const Error& error) {
  const ExitCode code = ExitCodeOf(error.code());
  std::string text = fmt::format("error: {}{}\n", where, error.message());
  if (code == ExitCode::kWrongUse && !where.empty()) {
    text +=
        fmt::format("'metier {} --help' describes the flags\n", where.substr(0, where.size() - 2));
  }
  std::fputs(text.c_str(), streams.err);
  return code;
}

ExitCode PrintPage(const Streams& streams, const std::string& page) {
  Console console(streams.in, streams.out);
  console.Print(page);
  const Status printed = console.Flush();
  return printed.ok() ? ExitCode::kSuccess : Report(streams, "", printed.error());
}

ExitCode RunVerb(const Verb& verb, std::span<const std::string> words,
                 const FlagList::Environment& environment, const Streams& streams) {
  const std::string where = fmt::format("{}: ", verb.name);
  Console console(streams.in, streams.out);
  try {
    const Result<Outcome> outcome = verb.run(words, environment, console);
    if (!outcome.ok()) return Report(streams, where, outcome.error());
    const Status printed = console.Flush();
    if (!printed.ok()) return Report(streams, where, printed.error());
    return *outcome == Outcome::kSuccess ? ExitCode::kSuccess : ExitCode::kWorkFailed;
  } catch (const std::bad_alloc&) {
    return Report(streams, where, Error(ErrorCode::kIo, "out of memory"));
  }
}

}  // namespace

ExitCode Run(std::span<const std::string> words, const FlagList::Environment& environment,
             const Streams& streams) {
  if (words.empty()) {
    std::fputs(HelpOfProgram().c_str(), streams.err);
    return ExitCode::kWrongUse;
  }
  if (words[0] == "--version") return PrintPage(streams, fmt::format("metier {}\n", kVersion));
  if (words[0] == "--help" || words[0] == "-h" || (words[0] == "help" && words.size() == 1)) {
    return PrintPage(streams, HelpOfProgram());
  }
  const bool help_first = words[0] == "help";
  if (help_first) words = words.subspan(1);
  const FoundVerb found = FindVerb(words);
  if (found.verb == nullptr) {
    const bool alone = words.size() == 1 || words[1] == "--help" || words[1] == "-h";
    const std::string group = alone ? HelpOfGroup(words[0]) : "";
    if (!group.empty() && (help_first || words.size() > 1)) return PrintPage(streams, group);
    return Report(streams, "", Error(ErrorCode::kInvalidArgument, UnknownVerb(words)));
  }
  words = words.subspan(found.words);
  if (help_first || Asks(words, "--help") || Asks(words, "-h")) {
    return PrintPage(streams, Asks(words, "--json") ? DumpPretty(found.verb->schema())
                                                    : HelpOfVerb(*found.verb));
  }
  return RunVerb(*found.verb, words, environment, streams);
}

int Main(int argc, char** argv) {
  const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  const auto environment = [](const std::string& name) { return std::getenv(name.c_str()); };
  return static_cast<int>(Run(words, environment, {stdin, stdout, stderr}));
}

}  // namespace metier::cli
