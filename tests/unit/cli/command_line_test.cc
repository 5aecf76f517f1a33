#include "cli/command_line.h"

#include <cstdlib>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

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

// What a page of help says of a flag: from its line to the next flag's, on one line.
std::string LineOf(const std::string& page, const std::string& flag) {
  const std::size_t begin = page.find("\n  " + flag + " ");
  if (begin == std::string::npos) return "";
  const std::size_t end = page.find("\n  --", begin + 1);
  std::istringstream words(page.substr(begin, end - begin));
  std::string line;
  for (std::string word; words >> word;) line += word + " ";
  return line;
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
      const Json& value = flag.fallback;
      const bool text = value.is_string() && value != "";
      if ((value.is_number() || text || value == true) && !flag.constraint.required) {
        EXPECT_THAT(LineOf(help.out, "--" + flag.name),
                    HasSubstr("default " + (text ? value.get<std::string>() : DumpCompact(value))))
            << verb->name << " --" << flag.name;
      }
      if (flag.positional()) {
        EXPECT_FALSE(optional_argument && flag.constraint.required)
            << verb->name << ": a required argument after an optional one";
        optional_argument = !flag.constraint.required;
      }
    }
    EXPECT_EQ(flags.count("json"), 1U) << verb->name;

    words.erase(words.begin());
    words.emplace_back("--help");
    EXPECT_EQ(Say(words).out, help.out);

    words.emplace_back("--json");
    const Said schema = Say(words);
    ASSERT_OK_AND_ASSIGN(const Json document, ParseJson(schema.out));
    EXPECT_EQ(document["properties"].size(), flags.size());
  }
}

TEST(CommandLine, AVerbOfTwoWordsIsExplainedByItsFirstToo) {
  const Said group = Say({"data", "--help"});
  EXPECT_EQ(group.code, ExitCode::kSuccess);
  EXPECT_EQ(Say({"help", "data"}).out, group.out);
  for (const char* verb : {"data check", "data build", "data stats"}) {
    EXPECT_THAT(group.out, HasSubstr(verb));
  }
  EXPECT_THAT(group.out, ::testing::Not(HasSubstr("eval")));
  // A verb of its own is described itself.
  EXPECT_THAT(Say({"eval", "--help"}).out, HasSubstr("usage: metier eval MODEL"));
  EXPECT_EQ(Say({"data"}).code, ExitCode::kWrongUse);
  EXPECT_EQ(Say({"nothing", "--help"}).code, ExitCode::kWrongUse);
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

std::size_t CountOf(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
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

// Asks bash's completion for what may follow "metier WORDS...", for several questions in one shell:
// the answers in their order, words divided by one space.
std::vector<std::string> AskBash(const std::vector<std::vector<std::string>>& questions) {
  const TempFolder folder;
  std::string script = Say({"completion", "bash"}).out;
  script +=
      "ask() { COMP_WORDS=(metier \"$@\"); COMP_CWORD=$#; _metier; echo \"${COMPREPLY[*]}\"; }\n";
  for (const std::vector<std::string>& words : questions) {
    script += "ask";
    for (const std::string& word : words) script += " '" + word + "'";
    script += "\n";
  }
  WriteAll(folder / "ask", script);
  ProcessOptions options;
  options.arguments = {"bash", folder / "ask"};
  options.log = folder / "log";
  EXPECT_OK(RunProcess(options));
  std::istringstream lines(ReadAll(folder / "log"));
  std::vector<std::string> answers;
  for (std::string line; std::getline(lines, line);) answers.push_back(line);
  EXPECT_EQ(answers.size(), questions.size());
  answers.resize(questions.size());
  return answers;
}

TEST(Completion, BashOffersVerbsFlagsAndFixedWords) {
  EXPECT_THAT(AskBash({{"doc"}, {"doctor", "--js"}, {"completion", ""}, {"completion", "f"}}),
              ::testing::ElementsAre("doctor", "--json", "bash zsh fish", "fish"));
}

std::set<std::string> Words(const std::string& line) {
  std::istringstream words(line);
  return {std::istream_iterator<std::string>(words), std::istream_iterator<std::string>()};
}

// Every verb, flag and fixed word of the table, and nothing else.
TEST(Completion, BashKnowsTheWholeTable) {
  std::vector<std::vector<std::string>> questions = {{""}};
  std::vector<std::set<std::string>> expected = {{"help", "--help", "--version"}};
  std::map<std::string, std::set<std::string>> seconds;
  const auto expect = [&](std::vector<std::string> words, std::set<std::string> answer) {
    questions.push_back(std::move(words));
    expected.push_back(std::move(answer));
  };
  for (const Verb* verb : Verbs()) {
    const std::vector<std::string> words = WordsOf(*verb);
    expected[0].insert(words[0]);
    if (words.size() == 2) seconds[words[0]].insert(words[1]);
    std::set<std::string> flags = {"--help"};
    for (const Flag& flag : verb->flags()) {
      if (flag.positional()) continue;
      flags.insert("--" + flag.name);
      std::vector<std::string> value = words;
      value.insert(value.end(), {"--" + flag.name, ""});
      const std::vector<std::string>& choices = flag.constraint.choices;
      if (!choices.empty()) expect(value, {choices.begin(), choices.end()});
    }
    std::vector<std::string> dashes = words;
    dashes.emplace_back("--");
    expect(dashes, flags);
  }
  for (const auto& [first, answer] : seconds) {
    std::set<std::string> offered = answer;
    offered.insert("--help");
    expect({first, ""}, offered);
  }
  const std::vector<std::string> answers = AskBash(questions);
  for (std::size_t i = 0; i < questions.size(); ++i) {
    std::string asked;
    for (const std::string& word : questions[i]) asked += word + " ";
    EXPECT_EQ(Words(answers[i]), expected[i]) << "metier " << asked;
  }
}

// zsh and fish may not be installed here: their scripts are compared with the table as text.
TEST(Completion, ZshAndFishKnowTheWholeTable) {
  const std::string zsh = Say({"completion", "zsh"}).out;
  const std::string fish = Say({"completion", "fish"}).out;
  for (const Verb* verb : Verbs()) {
    const std::string name(verb->name);
    const std::size_t begin = zsh.find("    '" + name + "')\n");
    ASSERT_NE(begin, std::string::npos) << name;
    const std::string block = zsh.substr(begin, zsh.find(";;", begin) - begin);
    std::size_t described = 0;
    for (const Flag& flag : verb->flags()) {
      if (flag.positional()) continue;
      ++described;
      const std::string value = flag.kind == FlagKind::kSwitch ? "[" : "=[";
      EXPECT_THAT(block, HasSubstr("--" + flag.name + value)) << name;
      EXPECT_THAT(fish, HasSubstr("'__metier_verb \"" + name + " \"' -l " + flag.name + " "));
    }
    EXPECT_EQ(CountOf(block, "'--") + CountOf(block, "'*--"), described + 1)
        << name << ": its flags and --help";
  }
}

}  // namespace
}  // namespace metier::cli
