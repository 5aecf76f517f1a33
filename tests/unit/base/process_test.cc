#include "base/process.h"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "base/json.h"
#include "support/fixtures.h"

namespace metier {
namespace {

TEST(Process, OutputGoesToTheLogAndArgumentsAreNotSplit) {
  const test::TempFolder folder;
  ASSERT_OK(RunProcess({.arguments = {"sh", "-c", "pwd; echo \"$0\" >&2", "a b; c"},
                        .search = {},
                        .folder = folder.path(),
                        .log = folder / "log"}));
  EXPECT_THAT(test::ReadAll(folder / "log"), ::testing::EndsWith("\na b; c\n"));
}

TEST(Process, FailuresQuoteTheLog) {
  const test::TempFolder folder;
  const auto run = [&](std::string program, std::string script) {
    return RunProcess({.arguments = {std::move(program), "-c", std::move(script)},
                       .search = {folder.path()},
                       .folder = {},
                       .log = folder / "log"});
  };
  EXPECT_ERROR(run("sh", "echo why; exit 3"), ErrorCode::kIo, "code 3");
  EXPECT_ERROR(run("sh", "echo why; exit 3"), ErrorCode::kIo, "why");
  EXPECT_ERROR(run("sh", "kill -9 $$"), ErrorCode::kIo, "signal 9");
  EXPECT_ERROR(run("no-such-program", ""), ErrorCode::kNotFound, folder.path());
  EXPECT_ERROR(run("./no-such-program", ""), ErrorCode::kNotFound, "not a program");
}

TEST(Process, ProgramsBesideAreFoundBeforeThoseInPath) {
  const test::TempFolder folder;
  test::WriteAll(folder / "sh", "#!/bin/sh\necho mine\n");
  ASSERT_OK(RunProcess(
      {.arguments = {"chmod", "+x", folder / "sh"}, .search = {}, .folder = {}, .log = {}}));
  ASSERT_OK(RunProcess(
      {.arguments = {"sh"}, .search = {folder.path()}, .folder = {}, .log = folder / "log"}));
  EXPECT_EQ(test::ReadAll(folder / "log"), "mine\n");
}

TEST(Yaml, DumpIsReadBackAsTheSameValue) {
  const Json value = {{"text", "1"},
                      {"number", 1},
                      {"real", 1.5},
                      {"word", "true"},
                      {"flag", true},
                      {"nothing", nullptr},
                      {"empty", ""},
                      {"colon", "x: y"},
                      {"hash", "# no"},
                      {"list", Json::array()},
                      {"lines", "a\nb\n"},
                      {"1", Json::object()},
                      {"dash", "- a"},
                      {"space", " lead "},
                      {"quote", "\"q\" 'r'"},
                      {"tab", "\xC3\xA9\t"},
                      {"exp", "1e5"},
                      {"tilde", "~"},
                      {"nested", Json::array({1, Json{{"x", "null"}}})}};
  ASSERT_OK_AND_ASSIGN(const Json read, ParseYaml(DumpYaml(value)));
  EXPECT_EQ(DumpCompact(read), DumpCompact(value));
}

TEST(Process, AProgramDiesWithWhoStartedIt) {
  const test::TempFolder folder;
  const pid_t parent = ::fork();
  if (parent == 0) {
    const Status ended = RunProcess({.arguments = {"sh", "-c", "echo $$ > pid; exec sleep 1000"},
                                     .search = {},
                                     .folder = folder.path(),
                                     .log = {}});
    ::_exit(ended.ok() ? 0 : 1);
  }
  const auto soon = [](const std::function<bool()>& done) {
    for (int i = 0; i < 1000 && !done(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return done();
  };
  const std::string path = folder / "pid";
  ASSERT_TRUE(soon([&] { return std::filesystem::exists(path) && !test::ReadAll(path).empty(); }));
  const std::string pid = std::to_string(std::stoi(test::ReadAll(path)));
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  // Dead is enough: who collects it depends on the machine's first process.
  EXPECT_TRUE(soon([&] {
    std::ifstream stat("/proc/" + pid + "/stat");
    std::string fields;
    return !std::getline(stat, fields) || fields.find(") Z ") != std::string::npos;
  }));
}

}  // namespace
}  // namespace metier
