// The built program: how fast it starts, what it is linked with, what it computes.
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "base/process.h"
#include "support/fixtures.h"

namespace metier::cli {
namespace {

using test::ReadAll;
using test::TempFolder;

std::string Program() {
  const char* folder = std::getenv("METIER_BIN");
  return (folder != nullptr ? std::string(folder) : ProgramFolder()) + "/metier";
}

// Milliseconds of processor time that ended children of this process have taken.
double ChildrenMilliseconds() {
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  const auto milliseconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) * 1e-3;
  };
  return milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime);
}

// Processor time, not the clock's: what else the machine does must not decide.
TEST(Program, StartsWithinFifteenMilliseconds) {
  const TempFolder folder;
  ProcessOptions options;
  options.arguments = {Program(), "--version"};
  options.log = folder / "log";
  double best = 1e9;
  for (int i = 0; i < 20; ++i) {
    const double before = ChildrenMilliseconds();
    ASSERT_OK(RunProcess(options));
    best = std::min(best, ChildrenMilliseconds() - before);
  }
  EXPECT_THAT(ReadAll(folder / "log"), ::testing::StartsWith("metier "));
#if defined(__SANITIZE_ADDRESS__)
  constexpr double kLimit = 150;  // the sanitizer's own start
#else
  constexpr double kLimit = 15;
#endif
  EXPECT_LT(best, kLimit) << "ms";
}

TEST(Program, LinksNoLibTorchAndNoPython) {
  const TempFolder folder;
  ProcessOptions options;
  options.arguments = {"ldd", Program()};
  options.log = folder / "log";
  ASSERT_OK(RunProcess(options));
  const std::string libraries = ReadAll(folder / "log");
  EXPECT_THAT(libraries, ::testing::HasSubstr("libc.so"));
  for (const char* unwanted : {"libtorch", "libc10", "libpython", "libmetier_train"}) {
    EXPECT_THAT(libraries, ::testing::Not(::testing::HasSubstr(unwanted)));
  }
}

// The program's logits of the fixtures against the reference, through the file it writes.
std::vector<float> ReadNpy(const std::string& path) {
  const std::string bytes = ReadAll(path);
  const std::size_t data =
      10 + static_cast<unsigned char>(bytes[8]) + 256U * static_cast<unsigned char>(bytes[9]);
  std::vector<float> values((bytes.size() - data) / sizeof(float));
  std::memcpy(values.data(), bytes.data() + data, values.size() * sizeof(float));
  return values;
}

class ProgramLogits : public ::testing::TestWithParam<const char*> {};

TEST_P(ProgramLogits, AreThoseOfTheReference) {
  METIER_NEEDS_SHARED(shared);
  const TempFolder folder;
  const std::string fixture = shared + "/fixtures/models/" + GetParam();
  test::UnpackTarZstd(fixture + "/model.tar.zst", folder.path());
  for (const char* model : {"hf", "model.gguf"}) {
    for (const std::string sequence : {"seq17", "seq64"}) {
      ProcessOptions options;
      options.arguments = {
          Program(),    "logits", folder / model, "--tokens",        fixture + "/tokens.json",
          "--sequence", sequence, "--out",        folder / "out.npy"};
      options.log = folder / "log";
      ASSERT_OK(RunProcess(options));
      const std::vector<float> found = ReadNpy(folder / "out.npy");
      const std::vector<float> expected = test::ReadF32(fixture + "/" + sequence + ".ref_f32.bin");
      ASSERT_EQ(found.size(), expected.size());
      double largest = 0;
      for (std::size_t i = 0; i < found.size(); ++i) {
        const double apart = std::abs(static_cast<double>(found[i]) - expected[i]);
        if (!(apart <= largest)) largest = apart;  // a NaN too
      }
      EXPECT_LE(largest, 1e-4) << model << " " << sequence;  // what the fixtures promise of float32
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ProgramLogits, ::testing::Values("llama", "gpt2", "mixtral"));

}  // namespace
}  // namespace metier::cli
