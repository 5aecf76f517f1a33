// The built program: what it is linked with, what it loads, what it computes.
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
using ::testing::HasSubstr;
using ::testing::Not;

std::string Program() {
  const char* folder = std::getenv("METIER_BIN");
  return (folder != nullptr ? std::string(folder) : ProgramFolder()) + "/metier";
}

// ldd follows what the libraries need in their turn.
TEST(Program, LinksNoLibTorchAndNoPython) {
  const TempFolder folder;
  ProcessOptions options;
  options.arguments = {"ldd", Program()};
  options.log = folder / "log";
  const Status listed = RunProcess(options);
  if (!listed.ok() && listed.error().code() == ErrorCode::kNotFound) GTEST_SKIP() << "no ldd";
  ASSERT_OK(listed);
  const std::string libraries = ReadAll(folder / "log");
  EXPECT_THAT(libraries, HasSubstr("libc.so"));
  for (const char* unwanted :
       {"libtorch", "libc10", "libgloo", "libpython", "libmetier_train", "not found"}) {
    EXPECT_THAT(libraries, Not(HasSubstr(unwanted)));
  }
}

// What the dynamic loader opens while the program runs, with `plugin` as the training plug-in.
std::string Loads(const std::vector<std::string>& words, const std::string& plugin) {
  const TempFolder folder;
  ProcessOptions options;
  options.arguments = {"env", "LD_DEBUG=files", "METIER_TRAIN_PLUGIN=" + plugin, Program()};
  options.arguments.insert(options.arguments.end(), words.begin(), words.end());
  options.log = folder / "log";
  const Status ended = RunProcess(options);
  EXPECT_TRUE(ended.ok() || words[0] == "doctor") << ended.error().message();
  return ReadAll(folder / "log");
}

TEST(Program, LoadsTheTrainingPluginOnlyWhereItIsAskedFor) {
  const TempFolder folder;
  const std::string plugin = folder / "libmetier_train.so";
  test::WriteAll(plugin, "");  // an attempt shows, whether training was built or not
  const std::string opened = "file=" + plugin;
  EXPECT_THAT(Loads({"doctor"}, plugin), HasSubstr(opened)) << "the loader's trace is not read";
  const std::vector<std::vector<std::string>> others = {
      {"--version"}, {"train", "--help"}, {"schema", "recipe"}};
  for (const std::vector<std::string>& words : others) {
    const std::string loads = Loads(words, plugin);
    EXPECT_THAT(loads, HasSubstr("file=libc.so")) << words[0];
    EXPECT_THAT(loads, Not(HasSubstr("libmetier_train"))) << words[0];
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
