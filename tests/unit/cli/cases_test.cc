// Runs tests/cases/cli/*.case: shell commands in an empty folder, with what they must say.
//
//   # comment
//   needs: shared               the whole file is skipped where the shared fixtures are absent
//   $ metier inspect cut.gguf   run by sh; $SHARED is the folder of shared fixtures, $SOURCE the
//                               checkout
//   exit: 3                     0 where nothing is said
//   stdout: none                or "stdout has: TEXT", "stdout lacks: TEXT", "stdout is: TEXT" (a
//                               whole line)
//   stderr has: TEXT            stderr alike
//   absent: FILE                nothing of that name was left behind
//
// Expectations belong to the command above them. The program is the built one (METIER_BIN).
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "base/process.h"
#include "support/fixtures.h"

namespace metier::cli {
namespace {

namespace fs = std::filesystem;

using ::testing::HasSubstr;
using ::testing::Not;

struct Case {
  std::string name;
  std::string path;
};

// What the test's runner shows of a parameter.
void PrintTo(const Case& shown, std::ostream* out) { *out << shown.path; }

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const auto& entry : fs::directory_iterator(test::SourceFolder() + "/tests/cases/cli")) {
    if (entry.path().extension() == ".case") {
      cases.push_back({entry.path().stem().string(), entry.path().string()});
    }
  }
  std::sort(cases.begin(), cases.end(),
            [](const Case& a, const Case& b) { return a.name < b.name; });
  return cases;
}

std::string Quote(const std::string& text) { return "'" + text + "'"; }

class CaseRunner {
 public:
  // Runs one command; expectations that follow are about it.
  void RunCommand(const std::string& command, int line) {
    Finish();
    const char* folder = std::getenv("METIER_BIN");
    const std::string programs = folder != nullptr ? folder : ProgramFolder();
    const std::string script = "cd " + Quote(work_.path()) + " && PATH=" + Quote(programs) +
                               ":$PATH SHARED=" + Quote(test::SharedFolder().value_or("")) +
                               " SOURCE=" + Quote(test::SourceFolder()) + " sh -c '" +
                               Escaped(command) + "' > " + Quote(logs_ / "out") + " 2> " +
                               Quote(logs_ / "err") + " < /dev/null";
    const int status = std::system(script.c_str());  // NOLINT(cert-env33-c): a shell is the point
    command_ = "line " + std::to_string(line) + ": " + command;
    exit_ = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    out_ = test::ReadAll(logs_ / "out");
    err_ = test::ReadAll(logs_ / "err");
  }

  void Expect(const std::string& what, const std::string& value) {
    SCOPED_TRACE(command_);
    if (what == "exit") {
      expected_exit_ = std::stoi(value);
    } else if (what == "absent") {
      EXPECT_FALSE(fs::exists(work_ / value)) << value << " was left behind";
    } else {
      const bool is_out = what.rfind("stdout", 0) == 0;
      ASSERT_TRUE(is_out || what.rfind("stderr", 0) == 0) << "unknown expectation '" << what << "'";
      ExpectText(is_out ? out_ : err_, what.substr(6), value);
    }
  }

  // Checks the exit code of the last command.
  void Finish() {
    if (!command_.empty()) {
      EXPECT_EQ(exit_, expected_exit_) << command_ << "\nstdout: " << out_ << "\nstderr: " << err_;
    }
    command_.clear();
    expected_exit_ = 0;
  }

 private:
  static std::string Escaped(const std::string& command) {
    std::string escaped;
    for (const char c : command) escaped += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return escaped;
  }

  static void ExpectText(const std::string& text, const std::string& relation,
                         const std::string& value) {
    if (relation.empty() && value == "none") {
      EXPECT_EQ(text, "");
    } else if (relation == " has") {
      EXPECT_THAT(text, HasSubstr(value));
    } else if (relation == " lacks") {
      EXPECT_THAT(text, Not(HasSubstr(value)));
    } else if (relation == " is") {
      EXPECT_EQ(text, value + "\n");
    } else {
      ADD_FAILURE() << "unknown expectation '" << relation << ": " << value << "'";
    }
  }

  const test::TempFolder work_;
  const test::TempFolder logs_;
  std::string command_;
  int exit_ = 0;
  int expected_exit_ = 0;
  std::string out_;
  std::string err_;
};

class CommandCases : public ::testing::TestWithParam<Case> {};

TEST_P(CommandCases, SayWhatTheyShould) {
  std::istringstream lines(test::ReadAll(GetParam().path));
  CaseRunner runner;
  int commands = 0;
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.empty() || line[0] == '#') continue;
    if (line == "needs: shared") {
      METIER_NEEDS_SHARED(shared);
      continue;
    }
    if (line.rfind("$ ", 0) == 0) {
      runner.RunCommand(line.substr(2), number);
      ++commands;
      continue;
    }
    const std::size_t colon = line.find(": ");
    ASSERT_NE(colon, std::string::npos) << "line " << number << ": " << line;
    ASSERT_GT(commands, 0) << "line " << number << ": an expectation before any command";
    runner.Expect(line.substr(0, colon), line.substr(colon + 2));
  }
  runner.Finish();
  EXPECT_GT(commands, 0);
}

std::string NameOf(const ::testing::TestParamInfo<Case>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Cli, CommandCases, ::testing::ValuesIn(AllCases()), NameOf);

}  // namespace
}  // namespace metier::cli
