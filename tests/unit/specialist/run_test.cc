#include "specialist/run.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "support/fixtures.h"

namespace metier::specialist {
namespace {

namespace fs = std::filesystem;

class Run : public ::testing::Test {
 protected:
  Run() {
    test::WriteAll(folder_ / "in.txt", "one\n");
    // Every run of a stage leaves a line in its tally, so that tests see what was run again.
    WriteRecipe("cat '${in}' > ${out}/x; echo a >> tally",
                "cat ${first}/x > ${out}/y; echo b >> tally");
    options_ = {.recipe = folder_ / "recipe.yaml",
                .folder = folder_ / "run",
                .overrides = {},
                .again = {},
                .until = {}};
  }

  void WriteRecipe(const std::string& first, const std::string& second) {
    test::WriteAll(folder_ / "recipe.yaml",
                   "name: test\nseed: 1\ninputs: {in: in.txt}\nstages:\n  first:\n    command: "
                   "{run: [[/bin/sh, -c, \"" +
                       first +
                       "\"]], outputs: [x]}\n  second:\n    "
                       "command: {run: [[/bin/sh, -c, \"" +
                       second + "\"]], outputs: [y]}\n");
  }
  std::string Tally() {
    return fs::exists(folder_ / "tally") ? test::ReadAll(folder_ / "tally") : "";
  }

  test::TempFolder folder_;
  RunOptions options_;
};

TEST_F(Run, RunsEachStageOnceAndFindsItAgain) {
  ASSERT_OK_AND_ASSIGN(const RunOutcome first, RunRecipe(options_));
  EXPECT_EQ(Tally(), "a\nb\n");
  EXPECT_EQ(test::ReadAll(folder_ / "run/second/y"), "one\n");
  EXPECT_FALSE(first.stages[0].cached);
  ASSERT_OK_AND_ASSIGN(const RunOutcome again, RunRecipe(options_));
  EXPECT_EQ(Tally(), "a\nb\n");
  EXPECT_TRUE(again.stages[1].cached);
  EXPECT_EQ(again.stages[1].key, first.stages[1].key);
  EXPECT_EQ(again.stages[0].summary, first.stages[0].summary);
}

TEST_F(Run, AChangedInputRunsWhatDependsOnIt) {
  ASSERT_OK(RunRecipe(options_));
  test::WriteAll(folder_ / "in.txt", "two\n");
  ASSERT_OK(RunRecipe(options_));
  EXPECT_EQ(Tally(), "a\nb\na\nb\n");
  EXPECT_EQ(test::ReadAll(folder_ / "run/second/y"), "two\n");
  test::WriteAll(folder_ / "in.txt", "one\n");  // changed back: the old results are still there
  ASSERT_OK(RunRecipe(options_));
  EXPECT_EQ(Tally(), "a\nb\na\nb\n");
  EXPECT_EQ(test::ReadAll(folder_ / "run/second/y"), "one\n");
}

TEST_F(Run, AChangedProgramRunsWhatItMadeAgain) {
  const std::string program = folder_ / "make.sh";
  const auto write = [&](const std::string& word) {
    test::WriteAll(program, "#!/bin/sh\necho " + word + " > $1\n");
    fs::permissions(program, fs::perms::owner_all);
  };
  test::WriteAll(folder_ / "recipe.yaml",
                 "name: test\nseed: 1\nstages:\n  made:\n    command: {run: [[./make.sh, "
                 "'${out}/x']], outputs: [x]}\n");
  write("first");
  ASSERT_OK(RunRecipe(options_));
  write("second");
  ASSERT_OK_AND_ASSIGN(const RunOutcome again, RunRecipe(options_));
  EXPECT_FALSE(again.stages[0].cached);
  EXPECT_EQ(test::ReadAll(folder_ / "run/made/x"), "second\n");
  ASSERT_OK_AND_ASSIGN(const RunOutcome same, RunRecipe(options_));
  EXPECT_TRUE(same.stages[0].cached);

  fs::remove(program);
  EXPECT_ERROR(RunRecipe(options_), ErrorCode::kNotFound, "make.sh' is not a program");
}

TEST_F(Run, AChangedStageLeavesEarlierOnesAlone) {
  ASSERT_OK(RunRecipe(options_));
  WriteRecipe("cat '${in}' > ${out}/x; echo a >> tally", "echo new > ${out}/y; echo b >> tally");
  ASSERT_OK(RunRecipe(options_));
  EXPECT_EQ(Tally(), "a\nb\nb\n");
}

TEST_F(Run, AFailedStageLeavesNoResultAndSaysWhy) {
  WriteRecipe("echo ok > ${out}/x", "echo because >&2; exit 7");
  EXPECT_ERROR(RunRecipe(options_), ErrorCode::kIo, "because");
  EXPECT_TRUE(fs::exists(folder_ / "run/first/stage.json"));
  EXPECT_FALSE(fs::exists(folder_ / "run/second"));
  WriteRecipe("echo ok > ${out}/x", "true");
  EXPECT_ERROR(RunRecipe(options_), ErrorCode::kNotFound, "output 'y'");
}

TEST_F(Run, UntilAndAgainNameStages) {
  options_.until = "first";
  ASSERT_OK(RunRecipe(options_));
  EXPECT_EQ(Tally(), "a\n");
  options_.until = "";
  options_.again = {"first"};
  ASSERT_OK(RunRecipe(options_));
  EXPECT_EQ(Tally(), "a\na\nb\n");
  options_.again = {"frist"};
  EXPECT_ERROR(RunRecipe(options_), ErrorCode::kInvalidArgument, "no stage 'frist'");
}

TEST_F(Run, PlanSaysWhatIsCachedAndRunsNothing) {
  ASSERT_OK_AND_ASSIGN(const auto before, PlanRecipe(options_));
  EXPECT_FALSE(before[0].cached);
  EXPECT_EQ(Tally(), "");
  ASSERT_OK(RunRecipe(options_));
  ASSERT_OK_AND_ASSIGN(const auto after, PlanRecipe(options_));
  EXPECT_TRUE(after[1].cached);
  EXPECT_EQ(after[1].key, before[1].key);
}

TEST_F(Run, ASecondRunInTheSameFolderIsRefused) {
  ASSERT_OK(RunRecipe(options_));
  const std::string lock = folder_ / "run/.lock";
  std::FILE* file = std::fopen(lock.c_str(), "r+");
  ASSERT_EQ(::flock(::fileno(file), LOCK_EX | LOCK_NB), 0);
  EXPECT_ERROR(RunRecipe(options_), ErrorCode::kIo, "in use by another run");
  std::fclose(file);
}

// Killed again and again while stages run, it ends with what an undisturbed run gives.
TEST_F(Run, SurvivesKills) {
  WriteRecipe("sleep 0.05; cat '${in}' > ${out}/x; sleep 0.05",
              "sleep 0.05; cat ${first}/x > ${out}/y; sleep 0.05");
  for (int kill_after = 10; kill_after < 400; kill_after += 40) {
    const pid_t child = ::fork();
    if (child == 0) {
      const auto outcome = RunRecipe(options_);
      ::_exit(outcome.ok() ? 0 : 1);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(kill_after));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  ASSERT_OK(RunRecipe(options_));
  EXPECT_EQ(test::ReadAll(folder_ / "run/second/y"), "one\n");
}

TEST_F(Run, EndsWhereItIsAskedToAndGoesOnFromThere) {
  int asked = 0;
  options_.stop = [&asked] { return ++asked > 1; };  // while the first stage runs
  ASSERT_OK_AND_ASSIGN(const RunOutcome stopped, RunRecipe(options_));
  EXPECT_EQ(stopped.interrupted, "second");
  EXPECT_EQ(stopped.summary["passed"], false);
  EXPECT_EQ(Tally(), "a\n");
  options_.stop = {};
  ASSERT_OK_AND_ASSIGN(const RunOutcome whole, RunRecipe(options_));
  EXPECT_EQ(whole.interrupted, "");
  EXPECT_EQ(Tally(), "a\nb\n");
}

// Ctrl-C reaches the programs that a stage runs, too: that one failed is then no error.
TEST_F(Run, AStageThatFailsWhileItIsAskedToEndIsInterrupted) {
  WriteRecipe("echo x > ${out}/x", "touch asked; exit 130");
  options_.stop = [this] { return fs::exists(folder_ / "asked"); };
  ASSERT_OK_AND_ASSIGN(const RunOutcome stopped, RunRecipe(options_));
  EXPECT_EQ(stopped.interrupted, "second");
}

TEST_F(Run, TheReportHoldsEveryStageAndIsSafeHtml) {
  test::WriteAll(folder_ / "recipe.yaml",
                 test::ReadAll(folder_ / "recipe.yaml") + "description: a <b> & c\n");
  ASSERT_OK_AND_ASSIGN(const RunOutcome outcome, RunRecipe(options_));
  const std::string html = test::ReadAll(outcome.report);
  EXPECT_THAT(html, ::testing::HasSubstr("a &lt;b&gt; &amp; c"));
  EXPECT_THAT(html, ::testing::HasSubstr("<td>second</td>"));
  EXPECT_THAT(html, ::testing::Not(::testing::HasSubstr("<script")));
}

}  // namespace
}  // namespace metier::specialist
