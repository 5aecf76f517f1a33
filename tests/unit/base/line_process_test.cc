#include "base/line_process.h"

#include <chrono>
#include <fstream>
#include <thread>

#include "support/fixtures.h"

namespace metier {
namespace {

constexpr std::uint64_t kLongest = 1000;

bool Never() { return false; }

// The answer, or what went wrong.
std::string Ask(LineProcess& process, const std::string& line, std::uint64_t longest = kLongest) {
  const auto answer = process.Ask(line, longest, Never);
  return answer.ok() ? *answer : answer.error().message();
}

Result<std::string> AskOnce(const std::string& command, const std::string& line,
                            const std::function<bool()>& give_up = Never) {
  METIER_ASSIGN(LineProcess process, LineProcess::Start(command));
  return process.Ask(line, kLongest, give_up);
}

TEST(LineProcess, AnswersEachLineAndKeepsItsState) {
  ASSERT_OK_AND_ASSIGN(
      LineProcess process,
      LineProcess::Start("n=0; while read -r l; do n=$((n+1)); echo \"$n: $l\"; done"));
  EXPECT_EQ(Ask(process, "one"), "1: one");
  EXPECT_EQ(Ask(process, "a \\ b"), "2: a \\ b");
  LineProcess moved = std::move(process);
  EXPECT_EQ(Ask(moved, ""), "3: ");
}

TEST(LineProcess, LinesLargerThanASocketHoldsComeThroughWhole) {
  const std::string large(400'000, 'x');
  ASSERT_OK_AND_ASSIGN(LineProcess counter,
                       LineProcess::Start("while read -r l; do echo ${#l} \"$l\"; done"));
  EXPECT_EQ(Ask(counter, large, 2 * large.size()), std::to_string(large.size()) + " " + large);
}

TEST(LineProcess, SaysHowAProgramEnded) {
  EXPECT_ERROR(AskOnce("read -r l; exit 3", "x"), ErrorCode::kIo, "ended with code 3");
  EXPECT_ERROR(AskOnce("read -r l; kill -9 $$", "x"), ErrorCode::kIo, "killed by signal 9");
  EXPECT_ERROR(AskOnce("exec metier-no-such-program 2>/dev/null", "x"), ErrorCode::kIo, "code 127");
  EXPECT_ERROR(AskOnce("exec >&- <&-; sleep 30", "x"), ErrorCode::kIo, "takes no more lines");
}

TEST(LineProcess, AfterAnErrorNothingCanBeAsked) {
  ASSERT_OK_AND_ASSIGN(LineProcess process, LineProcess::Start("yes 0123456789 | tr -d '\\n'"));
  EXPECT_ERROR(process.Ask("x", kLongest, Never), ErrorCode::kResourceExhausted, "1000 bytes");
  EXPECT_ERROR(process.Ask("x", kLongest, Never), ErrorCode::kIo, "takes no more lines");
}

TEST(LineProcess, IsNotWaitedForWhenTheCallerGivesUp) {
  int asked = 0;
  EXPECT_ERROR(AskOnce("cat > /dev/null", "x", [&asked] { return ++asked > 2; }), ErrorCode::kIo,
               "not waited for");
}

TEST(LineProcess, LeavesNothingBehind) {
  std::string pid;
  {
    // Ignores the end of its input, and so does what it started.
    ASSERT_OK_AND_ASSIGN(LineProcess process,
                         LineProcess::Start("sleep 1000 & echo $!; wait; sleep 1000"));
    ASSERT_OK_AND_ASSIGN(pid, process.Ask("", kLongest, Never));
  }
  // Dead is enough: who collects it depends on the machine's first process.
  const auto gone = [&pid] {
    std::ifstream stat("/proc/" + pid + "/stat");
    std::string fields;
    return !std::getline(stat, fields) || fields.find(") Z ") != std::string::npos;
  };
  for (int i = 0; i < 100 && !gone(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(gone());
}

}  // namespace
}  // namespace metier
