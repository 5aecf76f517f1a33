// metier completion: a shell's completion script, written from the table of verbs.
#include <fmt/format.h>

#include <map>
#include <string>
#include <vector>

#include "cli/verbs/verbs.h"

namespace metier::cli {
namespace {

struct CompletionOptions {
  std::string shell;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("SHELL", shell, "bash, zsh or fish").Required().OneOf({"bash", "zsh", "fish"});
  }
};

std::string_view FirstWord(std::string_view name) { return name.substr(0, name.find(' ')); }

std::string_view SecondWord(std::string_view name) {
  const std::size_t space = name.find(' ');
  return space == std::string_view::npos ? "" : name.substr(space + 1);
}

void AppendWord(std::string& list, std::string_view word) {
  if (!list.empty()) list += ' ';
  list += word;
}

// The first words of all verbs, once each, in the order of the table.
std::string FirstWords() {
  std::string list = "help";
  std::string_view last;
  for (const Verb* verb : Verbs()) {
    if (FirstWord(verb->name) != last) AppendWord(list, FirstWord(verb->name));
    last = FirstWord(verb->name);
  }
  return list;
}

// "data" -> "check build stats"
std::map<std::string_view, std::string> SecondWords() {
  std::map<std::string_view, std::string> lists;
  for (const Verb* verb : Verbs()) {
    if (!SecondWord(verb->name).empty()) {
      AppendWord(lists[FirstWord(verb->name)], SecondWord(verb->name));
    }
  }
  return lists;
}

std::string FlagWords(const Verb& verb) {
  std::string list = "--help";
  for (const Flag& flag : verb.flags()) {
    if (!flag.positional()) AppendWord(list, "--" + flag.name);
  }
  return list;
}

std::string Choices(const Flag& flag) {
  std::string list;
  for (const std::string& choice : flag.constraint.choices) AppendWord(list, choice);
  return list;
}

// Words known: those after '-' are flags, those after a flag of fixed words its words, a first
// argument of fixed words those; everything else is a file name.
std::string Bash() {
  std::string verb_rows;
  std::string flag_rows;
  std::string value_rows;
  for (const Verb* verb : Verbs()) {
    flag_rows += fmt::format("    '{}') flags='{}' ;;\n", verb->name, FlagWords(*verb));
    for (const Flag& flag : verb->flags()) {
      if (flag.constraint.choices.empty()) continue;
      value_rows += fmt::format("    '{} {}') words='{}' ;;\n", verb->name,
                                flag.positional() ? "argument" : "--" + flag.name, Choices(flag));
    }
  }
  for (const auto& [first, second] : SecondWords()) {
    verb_rows += fmt::format("    {}) seconds='{}' ;;\n", first, second);
  }
  return fmt::format(R"(# bash completion of metier: source <(metier completion bash)
_metier() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
  local verb=${{COMP_WORDS[1]}} seconds= flags= words= first=2
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '{0} --help --version' -- "$word"))
    return
  fi
  case $verb in
{1}  esac
  if [[ -n $seconds ]]; then
    if ((COMP_CWORD == 2)); then
      COMPREPLY=($(compgen -W "$seconds --help" -- "$word"))
    fi
    if [[ " $seconds " == *" ${{COMP_WORDS[2]}} "* ]]; then
      verb="$verb ${{COMP_WORDS[2]}}" first=3
    fi
  fi
  case $verb in
{2}  esac
  case "$verb $previous" in
{3}  esac
  if ((COMP_CWORD == first)) && [[ -z $words ]]; then
    case "$verb argument" in
{3}    esac
  fi
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$word"))
  elif [[ -n $words ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$word"))
  fi
}}
complete -o default -F _metier metier
)",
                     FirstWords(), verb_rows, flag_rows, value_rows);
}

// Text inside single quotes of zsh and fish; zsh's specifications also read [ ] and :.
std::string Quoted(std::string_view text, std::string_view escaped) {
  std::string quoted;
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      if (escaped.find(c) != std::string_view::npos) quoted += '\\';
      quoted += c;
    }
  }
  return quoted;
}

std::string ZshFlags(const Verb& verb, std::string_view indent) {
  std::string text = fmt::format("{}_arguments", indent);
  for (const Flag& flag : verb.flags()) {
    const std::string choices = Choices(flag);
    const std::string action = choices.empty() ? "_files" : "(" + choices + ")";
    if (flag.positional()) {
      text += fmt::format(" \\\n{}  '{}:{}:{}'", indent,
                          flag.kind == FlagKind::kTextList ? "*" : "", flag.name, action);
      continue;
    }
    const bool takes_value = flag.kind != FlagKind::kSwitch;
    text += fmt::format(
        " \\\n{}  '{}--{}{}[{}]{}'", indent, flag.kind == FlagKind::kTextList ? "*" : "", flag.name,
        takes_value ? "=" : "", Quoted(flag.help, "[]:\\"), takes_value ? ":value:" + action : "");
  }
  return text + fmt::format(" \\\n{}  '--help[describe the verb]'\n", indent);
}

std::string Zsh() {
  std::string rows;
  for (const Verb* verb : Verbs()) {
    rows += fmt::format("    '{}')\n{}      ;;\n", verb->name, ZshFlags(*verb, "      "));
  }
  std::string second_rows;
  for (const auto& [first, second] : SecondWords()) {
    second_rows += fmt::format("    {}) seconds=({}) ;;\n", first, second);
  }
  return fmt::format(R"(#compdef metier
# zsh completion of metier: metier completion zsh > a folder of $fpath/_metier
_metier() {{
  local -a seconds
  if ((CURRENT == 2)); then
    compadd -- {0} --help --version
    return
  fi
  local verb=${{words[2]}}
  case $verb in
{1}  esac
  if ((CURRENT == 3 && ${{#seconds}})); then
    compadd -- $seconds
  fi
  if ((CURRENT > 3 && ${{#seconds}} && ${{seconds[(Ie)${{words[3]}}]}})); then
    verb="$verb ${{words[3]}}"
    shift words
    ((CURRENT--))
  fi
  shift words
  ((CURRENT--))
  case $verb in
{2}  esac
}}
_metier "$@"
)",
                     FirstWords(), second_rows, rows);
}

std::string Fish() {
  std::string text =
      "# fish completion of metier: metier completion fish > "
      "~/.config/fish/completions/metier.fish\n"
      "function __metier_verb\n"
      "  set -l words (commandline -opc)\n"
      "  string match -q -- \"$argv[1]*\" \"$words[2..-1] \"\n"
      "end\n";
  const std::string start = "complete -c metier -f -n 'test (count (commandline -opc)) -eq 1'";
  for (const Verb* verb : Verbs()) {
    if (SecondWord(verb->name).empty()) {
      text += fmt::format("{} -a '{}' -d '{}'\n", start, verb->name, Quoted(verb->help, "\\"));
    }
  }
  for (const auto& [first, second] : SecondWords()) {
    text += fmt::format("{} -a '{}'\n", start, first);
    text += fmt::format(
        "complete -c metier -n 'test (count (commandline -opc)) -eq 2; and __metier_verb \"{} \"' "
        "-a '{}'\n",
        first, second);
  }
  for (const Verb* verb : Verbs()) {
    const std::string condition = fmt::format("-n '__metier_verb \"{} \"'", verb->name);
    for (const Flag& flag : verb->flags()) {
      const std::string choices = Choices(flag);
      if (flag.positional() && choices.empty()) continue;
      text += fmt::format("complete -c metier {}", condition);
      if (!flag.positional()) text += fmt::format(" -l {}", flag.name);
      if (!flag.positional() && flag.kind != FlagKind::kSwitch) text += " -r";
      if (!choices.empty()) text += fmt::format(" -f -a '{}'", choices);
      text += fmt::format(" -d '{}'\n", Quoted(flag.help, "\\"));
    }
  }
  return text;
}

Result<Outcome> Completion(const CompletionOptions& options, Console& console) {
  const std::string script = options.shell == "bash"  ? Bash()
                             : options.shell == "zsh" ? Zsh()
                                                      : Fish();
  if (console.json()) {
    console.PrintJson(Json{{"shell", options.shell}, {"script", script}});
  } else {
    console.Print(script);
  }
  return Outcome::kSuccess;
}

}  // namespace

constinit const Verb kCompletionVerb = MakeVerb<CompletionOptions, Completion>(
    "completion", "a completion script for your shell",
    "source <(metier completion bash)\n"
    "metier completion fish > ~/.config/fish/completions/metier.fish");

}  // namespace metier::cli
