#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "cli/command_line.h"

namespace metier::cli {
namespace {

constexpr std::size_t kLineWidth = 100;

// Two columns: `left` indented by two, `right` wrapped into what remains of the line.
std::string Columns(std::string_view left, std::size_t left_width, std::string_view right) {
  const std::size_t indent = left_width + 4;
  std::string text = fmt::format("  {:<{}}  ", left, left_width);
  std::size_t column = indent;
  for (std::size_t begin = 0; begin < right.size();) {
    const std::size_t end = std::min(right.find(' ', begin), right.size());
    const std::string_view word = right.substr(begin, end - begin);
    if (column > indent && column + 1 + word.size() > kLineWidth) {
      text += "\n" + std::string(indent, ' ');
      column = indent;
    }
    if (column > indent) {
      text += ' ';
      ++column;
    }
    text += word;
    column += word.size();
    begin = end + 1;
  }
  return text + "\n";
}

std::string Placeholder(const Flag& flag) {
  switch (flag.kind) {
    case FlagKind::kSwitch: return "";
    case FlagKind::kWholeNumber: return " N";
    case FlagKind::kNumber: return " X";
    case FlagKind::kText:
    case FlagKind::kTextList: return flag.constraint.choices.empty() ? " TEXT" : " WORD";
  }
  return "";
}

std::string Spelling(const Flag& flag) {
  if (flag.positional()) return flag.name;
  return "--" + flag.name + Placeholder(flag);
}

// "default 256, at least 1, or METIER_MAX_TOKENS"
std::string Facts(const Flag& flag) {
  std::vector<std::string> facts;
  const recipe::Constraint& constraint = flag.constraint;
  if (constraint.required) facts.emplace_back("required");
  const bool says_something = !flag.fallback.is_null() && flag.fallback != "" &&
                              flag.fallback != false && !flag.fallback.empty();
  if (says_something) {
    facts.push_back("default " + (flag.fallback.is_string() ? flag.fallback.get<std::string>()
                                                            : DumpCompact(flag.fallback)));
  }
  if (!constraint.choices.empty()) {
    facts.push_back(fmt::format("one of {}", fmt::join(constraint.choices, ", ")));
  }
  if (std::isfinite(constraint.least)) {
    facts.push_back(
        fmt::format("{} {}", constraint.least_excluded ? "above" : "at least", constraint.least));
  }
  if (std::isfinite(constraint.most)) facts.push_back(fmt::format("at most {}", constraint.most));
  if (flag.kind == FlagKind::kTextList && !flag.positional()) facts.emplace_back("repeatable");
  if (!flag.environment_name().empty()) facts.push_back(flag.environment_name());
  return facts.empty() ? "" : fmt::format(" ({})", fmt::join(facts, "; "));
}

// A line a verb: its name and what it does.
std::string Lines(const std::vector<const Verb*>& verbs) {
  std::size_t width = 0;
  for (const Verb* verb : verbs) width = std::max(width, verb->name.size());
  std::string text;
  for (const Verb* verb : verbs) text += Columns(verb->name, width, verb->help);
  return text;
}

std::string Usage(const Verb& verb, const std::vector<Flag>& flags) {
  std::string usage = fmt::format("usage: metier {}", verb.name);
  for (const Flag& flag : flags) {
    if (!flag.positional()) continue;
    const std::string name = flag.name + (flag.kind == FlagKind::kTextList ? "..." : "");
    usage += flag.constraint.required ? " " + name : " [" + name + "]";
  }
  for (const Flag& flag : flags) {
    if (!flag.positional() && flag.constraint.required) usage += " " + Spelling(flag);
  }
  return usage + " [flags]\n";
}

}  // namespace

std::string HelpOfVerb(const Verb& verb) {
  const std::vector<Flag> flags = verb.flags();
  std::string text = fmt::format("metier {}: {}\n\n{}\n", verb.name, verb.help, Usage(verb, flags));
  std::size_t width = 6;
  for (const Flag& flag : flags) width = std::max(width, Spelling(flag).size());
  bool arguments = false;
  for (const Flag& flag : flags) {
    if (!flag.positional()) continue;
    text += Columns(Spelling(flag), width, flag.help);
    arguments = true;
  }
  if (arguments) text += "\n";
  text += "flags:\n";
  for (const Flag& flag : flags) {
    if (!flag.positional()) text += Columns(Spelling(flag), width, flag.help + Facts(flag));
  }
  text += Columns("--help", width, "this page (with --json: the JSON Schema of the flags)");
  if (!verb.examples.empty()) {
    text += "\nexamples:\n";
    for (std::size_t begin = 0; begin < verb.examples.size();) {
      const std::size_t end = std::min(verb.examples.find('\n', begin), verb.examples.size());
      text += fmt::format("  {}\n", verb.examples.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  return text;
}

std::string HelpOfProgram() {
  const std::span<const Verb* const> verbs = Verbs();
  return "metier: turn an open language model into a specialist, prove that it is one, and run it\n"
         "\n"
         "usage: metier VERB [arguments] [flags]\n"
         "\n"
         "verbs:\n" +
         Lines({verbs.begin(), verbs.end()}) +
         "\n"
         "'metier VERB --help' describes one; 'metier --version' names this build.\n"
         "Results go to stdout, progress and messages to stderr. Exit codes: 0 success, 1 the "
         "work\n"
         "says no, 2 wrong use, 3 bad input, 4 missing dependency or resource.\n";
}

std::string HelpOfGroup(std::string_view first) {
  const std::string start = std::string(first) + " ";
  std::vector<const Verb*> group;
  for (const Verb* verb : Verbs()) {
    if (verb->name.substr(0, start.size()) == start) group.push_back(verb);
  }
  if (group.empty()) return "";
  return fmt::format("verbs of {}:\n{}\n'metier {} VERB --help' describes one.\n", first,
                     Lines(group), first);
}

}  // namespace metier::cli
