#include "cli/command_line.h"

#include <cstdlib>
#include <set>

#include "base/process.h"
#include "support/fixtures.h"

namespace metier::cli {
namespace {

using test::ReadAll;
using test::TempFolder;
using test::WriteAll;
using ::testing::HasSubstr;

struct Said {
  ExitCode code = ExitCode::kSuccess;
  std::string out;
  std::string err;
};

Said Say(const std::vector<std::string>& words) {
  char* out = nullptr;
  char* err = nullptr;
  std::size_t out_size = 0;
  std::size_t err_size = 0;
  std::FILE* out_file = open_memstream(&out, &out_size);
  std::FILE* err_file = open_memstream(&err, &err_size);
  std::FILE* in_file = std::fopen("/dev/null", "r");
  Said said;
  said.code = Run(words, [](const std::string&) { return nullptr; }, {in_file, out_file, err_file});
  std::fclose(in_file);
  std::fclose(out_file);
  std::fclose(err_file);
  said.out.assign(out, out_size);
  said.err.assign(err, err_size);
  std::free(out);
  std::free(err);
  return said;
}

std::vector<std::string> WordsOf(const Verb& verb) {
  const std::size_t space = verb.name.find(' ');
  if (space == std::string_view::npos) return {std::string(verb.name)};
  return {std::string(verb.name.substr(0, space)), std::string(verb.name.substr(space + 1))};
}

TEST(CommandLine, ErrorCodesBecomeExitCodes) {
  EXPECT_EQ(ExitCodeOf(ErrorCode::kInvalidArgument), ExitCode::kWrongUse);
  EXPECT_EQ(ExitCodeOf(ErrorCode::kNotFound), ExitCode::kBadInput);
  EXPECT_EQ(ExitCodeOf(ErrorCode::kDataCorrupt), ExitCode::kBadInput);
  EXPECT_EQ(ExitCodeOf(ErrorCode::kUnsupported), ExitCode::kBadInput);
  EXPECT_EQ(ExitCodeOf(ErrorCode::kResourceExhausted), ExitCode::kBadInput);
  EXPECT_EQ(ExitCodeOf(ErrorCode::kIo), ExitCode::kMissingResource);
}

TEST(CommandLine, NothingSaidIsWrongUseWithTheListOfVerbs) {
  const Said said = Say({});
  EXPECT_EQ(said.code, ExitCode::kWrongUse);
  EXPECT_EQ(said.out, "");
  EXPECT_THAT(said.err, HasSubstr("doctor"));
}

TEST(CommandLine, AnUnknownVerbNamesTheNearest) {
  const Said said = Say({"doktor"});
  EXPECT_EQ(said.code, ExitCode::kWrongUse);
  EXPECT_EQ(said.out, "");
  EXPECT_EQ(said.err, "error: unknown verb 'doktor': did you mean 'doctor'?\n");
}

TEST(CommandLine, EveryVerbExplainsItself) {
  std::set<std::string_view> names;
  for (const Verb* verb : Verbs()) {
    EXPECT_TRUE(names.insert(verb->name).second) << verb->name << " stands twice in the table";
    std::vector<std::string> words = WordsOf(*verb);
    words.insert(words.begin(), "help");
    const Said help = Say(words);
    EXPECT_EQ(help.code, ExitCode::kSuccess);
    EXPECT_THAT(help.out, HasSubstr(std::string(verb->help)));
    EXPECT_THAT(HelpOfProgram(), HasSubstr(std::string(verb->name)));
    EXPECT_FALSE(verb->examples.empty()) << verb->name;
    std::set<std::string> flags;
    bool optional_argument = false;
    for (const Flag& flag : verb->flags()) {
      EXPECT_TRUE(flags.insert(flag.name).second) << verb->name << " has two flags " << flag.name;
      EXPECT_FALSE(flag.help.empty()) << verb->name << " --" << flag.name;
      EXPECT_THAT(help.out, HasSubstr(flag.positional() ? flag.name : "--" + flag.name));
      if (flag.fallback.is_number() && !flag.constraint.required) {
        EXPECT_THAT(help.out, HasSubstr("default " + DumpCompact(flag.fallback)))
            << verb->name << " --" << flag.name;
      }
      if (flag.positional()) {
        EXPECT_FALSE(optional_argument && flag.constraint.required)
            << verb->name << ": a required argument after an optional one";
        optional_argument = !flag.constraint.required;
      }
    }
    EXPECT_EQ(flags.count("json"), 1U) << verb->name;

    words.emplace_back("--json");
    const Said schema = Say(words);
    ASSERT_OK_AND_ASSIGN(const Json document, ParseJson(schema.out));
    EXPECT_EQ(document["properties"].size(), flags.size());
  }
}

TEST(CommandLine, EveryVerbRefusesAnUnknownFlagAndLeavesStdoutEmpty) {
  for (const Verb* verb : Verbs()) {
    std::vector<std::string> words = WordsOf(*verb);
    words.emplace_back("--jso");
    const Said said = Say(words);
    EXPECT_EQ(said.code, ExitCode::kWrongUse) << verb->name;
    EXPECT_EQ(said.out, "");
    EXPECT_THAT(said.err, HasSubstr("unknown flag --jso: did you mean --json?"));
  }
}

TEST(Completion, ScriptsParseInTheirShells) {
  const TempFolder folder;
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    const Said said = Say({"completion", shell});
    ASSERT_EQ(said.code, ExitCode::kSuccess) << said.err;
    for (const Verb* verb : Verbs()) {
      EXPECT_THAT(said.out, HasSubstr(std::string(verb->name))) << shell;
    }
    const std::string script = folder / shell;
    WriteAll(script, said.out);
    ProcessOptions check;
    check.arguments = {shell, "-n", script};
    check.log = folder / "log";
    const Status parsed = RunProcess(check);
    // bash is on every machine that builds this; the others are checked where they are installed.
    if (!parsed.ok() && parsed.error().code() == ErrorCode::kNotFound && shell != "bash") continue;
    EXPECT_OK(parsed);
  }
}

TEST(Completion, BashOffersVerbsFlagsAndFixedWords) {
  const TempFolder folder;
  WriteAll(folder / "completion", Say({"completion", "bash"}).out);
  WriteAll(folder / "ask", R"(. "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _metier; echo "${COMPREPLY[@]}")");
  const auto ask = [&folder](const std::vector<std::string>& words) {
    ProcessOptions options;
    options.arguments = {"bash", folder / "ask", folder / "completion", "metier"};
    options.arguments.insert(options.arguments.end(), words.begin(), words.end());
    options.log = folder / "log";
    EXPECT_OK(RunProcess(options));
    return ReadAll(folder / "log");
  };
  EXPECT_EQ(ask({"doc"}), "doctor\n");
  EXPECT_EQ(ask({"doctor", "--js"}), "--json\n");
  EXPECT_EQ(ask({"completion", ""}), "bash zsh fish\n");
  EXPECT_EQ(ask({"completion", "f"}), "fish\n");
}

}  // namespace
}  // namespace metier::cli
