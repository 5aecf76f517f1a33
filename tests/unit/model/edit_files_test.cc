// Edits in a directory: taken back to the bit, in any number, and never from what is not theirs.
#include "model/edit_files.h"

#include <array>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "base/hash.h"
#include "format/safetensors.h"
#include "model/family.h"
#include "model/model_files.h"
#include "support/fixtures.h"

namespace metier::model {
namespace {

namespace fs = std::filesystem;

using test::ReadAll;
using test::TempFolder;
using test::WriteAll;
using ::testing::HasSubstr;

constexpr char kDown[] = "layers.1.ffn.down.weight";

class EditFiles : public ::testing::TestWithParam<const Family*> {
 protected:
  void Write(const Family& family, tensor::DType dtype) {
    spec_ = family.tiny();
    ASSERT_OK(WriteHuggingFaceModel(folder_ / "base", spec_, dtype, [&](const std::string& name) {
      return RandomParameter(spec_, name, 5);
    }));
  }

  // A parameter of `from` with values of another seed, written to `to`.
  void Edit(const std::string& from, const std::string& to, std::uint64_t seed,
            const std::string& parameter = kDown) {
    ASSERT_OK_AND_ASSIGN(const ModelFiles files, ModelFiles::Open(folder_ / from));
    ASSERT_OK_AND_ASSIGN(const tensor::Tensor values, RandomParameter(spec_, parameter, seed));
    ASSERT_OK_AND_ASSIGN(FileTensor tensor, files.Encode(parameter, values));
    std::vector<FileTensor> changed;
    changed.push_back(std::move(tensor));
    ASSERT_OK(WriteEdit(folder_ / from, folder_ / to, changed, {{"seed", seed}}));
    CopyConfig(to);
  }
  void CopyConfig(const std::string& to) {
    fs::copy_file(folder_ / "base/config.json", folder_ / (to + "/config.json"));
  }
  std::string Hash(const std::string& file) {
    const auto hash = Sha256OfFile(folder_ / file);
    return hash.ok() ? *hash : hash.error().message();
  }
  std::vector<float> ValuesIn(const std::string& folder, const std::string& parameter) {
    const auto files = ModelFiles::Open(folder_ / folder);
    EXPECT_OK(files);
    const auto values = files->LoadF32(parameter);
    EXPECT_OK(values);
    return std::vector<float>(values->f32().begin(), values->f32().end());
  }

  TempFolder folder_;
  ModelSpec spec_;
};

std::vector<const Family*> DenseFamilies() {
  std::vector<const Family*> dense;
  for (const Family* family : Families()) {
    if (family->tiny().moe.experts == 0) dense.push_back(family);
  }
  return dense;
}
INSTANTIATE_TEST_SUITE_P(Dense, EditFiles, ::testing::ValuesIn(DenseFamilies()),
                         [](const auto& shown) { return std::string(shown.param->name); });

// Whatever a family's files do with the matrix (gpt2 transposes it).
TEST_P(EditFiles, ReplaceOneParameterAndGiveItBack) {
  for (const tensor::DType dtype :
       {tensor::DType::kF32, tensor::DType::kBF16, tensor::DType::kF16}) {
    SCOPED_TRACE(tensor::InfoOf(dtype).name);
    for (const char* part : {"base", "edited", "back"}) fs::remove_all(folder_ / part);
    Write(*GetParam(), dtype);
    Edit("base", "edited", 9);
    ASSERT_OK_AND_ASSIGN(const tensor::Tensor values, RandomParameter(spec_, kDown, 9));
    const std::vector<float> found = ValuesIn("edited", kDown);
    const double step = dtype == tensor::DType::kF32   ? 0
                        : dtype == tensor::DType::kF16 ? 0x1p-11
                                                       : 0x1p-8;  // half a unit in the last place
    for (std::size_t i = 0; i < found.size(); ++i)
      ASSERT_NEAR(found[i], values.f32()[i],
                  step * std::abs(values.f32()[i]) + (step == 0 ? 0 : 0x1p-25))
          << i;
    for (const Parameter& other : Parameters(spec_)) {
      if (other.name == kDown) continue;
      ASSERT_EQ(ValuesIn("edited", other.name), ValuesIn("base", other.name)) << other.name;
    }
    EXPECT_NE(Hash("edited/model.safetensors"), Hash("base/model.safetensors"));
    ASSERT_OK(WriteReverted(folder_ / "edited", folder_ / "back", 1));
    EXPECT_EQ(Hash("back/model.safetensors"), Hash("base/model.safetensors"));
    EXPECT_FALSE(IsEdited(folder_ / "back"));
    EXPECT_FALSE(fs::exists(folder_ / "back/edits.safetensors"));
  }
}

class EditStack : public EditFiles {
 protected:
  void SetUp() override {
    const auto family = FindFamily("llama");
    ASSERT_OK(family);
    Write(**family, tensor::DType::kBF16);
  }
};
INSTANTIATE_TEST_SUITE_P(Llama, EditStack, ::testing::Values(nullptr));

TEST_P(EditStack, IsTakenBackFromTheTop) {
  Edit("base", "one", 9);
  Edit("one", "two", 10);
  Edit("two", "three", 11, "layers.0.ffn.down.weight");
  ASSERT_OK_AND_ASSIGN(const std::vector<Json> edits, ReadEdits(folder_ / "three"));
  ASSERT_EQ(edits.size(), 3U);
  EXPECT_EQ(edits[1]["about"]["seed"], 10);
  EXPECT_EQ(edits[1]["before"], edits[0]["after"]);
  const char* expected[] = {"two", "one", "base"};
  for (std::size_t count = 1; count <= 3; ++count) {
    const std::string back = "back" + std::to_string(count);
    ASSERT_OK(WriteReverted(folder_ / "three", folder_ / back, count));
    for (const char* file : {"model.safetensors", "edits.json", "edits.safetensors"}) {
      const std::string wanted = folder_ / (std::string(expected[count - 1]) + "/" + file);
      ASSERT_EQ(fs::exists(folder_ / (back + "/" + file)), fs::exists(wanted)) << file << count;
      if (!fs::exists(wanted)) continue;
      EXPECT_EQ(ReadAll(folder_ / (back + "/" + file)), ReadAll(wanted)) << file << count;
    }
  }
  // And what is left can be taken back in turn.
  ASSERT_OK(WriteReverted(folder_ / "back1", folder_ / "again", 2));
  EXPECT_EQ(Hash("again/model.safetensors"), Hash("base/model.safetensors"));
  EXPECT_ERROR(WriteReverted(folder_ / "three", folder_ / "x", 4), ErrorCode::kInvalidArgument,
               "has 3 edits; 4 cannot be taken back");
  EXPECT_ERROR(WriteReverted(folder_ / "base", folder_ / "x", 1), ErrorCode::kInvalidArgument,
               "was not edited: found no edits.json");
}

TEST_P(EditStack, ReplacesTensorsOfShards) {
  const auto files = ModelFiles::Open(folder_ / "base");
  ASSERT_OK(files);
  std::vector<format::NamedTensor> tensors;
  for (const std::string& name : files->tensors().Names())
    tensors.push_back({name, *files->tensors().Find(name)});
  ASSERT_OK(format::WriteSafetensorsModel(folder_ / "sharded", tensors, {}, 40000));
  CopyConfig("sharded");
  const char* index = "/model.safetensors.index.json";
  ASSERT_TRUE(fs::exists(folder_ / "sharded" + index));
  Edit("sharded", "edited", 9);
  EXPECT_EQ(ValuesIn("edited", "layers.0.ffn.down.weight"),
            ValuesIn("base", "layers.0.ffn.down.weight"));
  EXPECT_NE(ValuesIn("edited", kDown), ValuesIn("base", kDown));
  ASSERT_OK(WriteReverted(folder_ / "edited", folder_ / "back", 1));
  int files_there = 0;
  for (const auto& entry : fs::directory_iterator(folder_ / "back")) {
    const std::string name = entry.path().filename().string();
    EXPECT_EQ(ReadAll(folder_ / ("back/" + name)), ReadAll(folder_ / ("sharded/" + name))) << name;
    ++files_there;
  }
  EXPECT_GT(files_there, 2);
}

TEST_P(EditStack, RefusesWeightsThatWereChangedSince) {
  Edit("base", "edited", 9);
  const std::string path = folder_ / "edited/model.safetensors";
  const std::string written = Hash("edited/model.safetensors");
  std::string bytes = ReadAll(path);
  bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] ^ 1);
  WriteAll(path, bytes);
  const std::string now = Hash("edited/model.safetensors");
  EXPECT_ERROR(WriteReverted(folder_ / "edited", folder_ / "x", 1), ErrorCode::kDataCorrupt,
               "found " + now + ", expected " + written);
  const auto stacked = WriteEdit(folder_ / "edited", folder_ / "x", {}, {});
  EXPECT_ERROR(stacked, ErrorCode::kDataCorrupt, "as its newest edit left it");
}

TEST_P(EditStack, RefusesWhatItKeepsWhenThatWasChanged) {
  Edit("base", "edited", 9);
  const std::string path = folder_ / "edited/edits.safetensors";
  std::string bytes = ReadAll(path);
  bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] ^ 1);
  WriteAll(path, bytes);
  EXPECT_ERROR(WriteReverted(folder_ / "edited", folder_ / "x", 1), ErrorCode::kDataCorrupt,
               "as it was before the edit");
  WriteAll(path, bytes.substr(0, bytes.size() - 9));
  EXPECT_ERROR(WriteReverted(folder_ / "edited", folder_ / "y", 1), ErrorCode::kDataCorrupt, "");
}

TEST_P(EditStack, RefusesAStackThatIsNone) {
  Edit("base", "edited", 9);
  const std::string good = ReadAll(folder_ / "edited/edits.json");
  for (const auto& [what, with, says] :
       std::vector<std::array<std::string, 3>>{{"metier-edits", "edits", "expected \"format\""},
                                               {"\"version\": 1", "\"version\": 2", "\"version\""},
                                               {"\"before\"", "\"since\"", "an edit without"},
                                               {"\"edits\"", "\"list\"", "a list"}}) {
    std::string bad = good;
    bad.replace(bad.find(what), what.size(), with);
    WriteAll(folder_ / "edited/edits.json", bad);
    EXPECT_ERROR(ReadEdits(folder_ / "edited"), ErrorCode::kDataCorrupt, says);
  }
}

TEST_P(EditStack, RefusesTensorsThatDoNotFit) {
  EXPECT_ERROR(WriteEdit(folder_ / "base", folder_ / "x", {}, {}), ErrorCode::kInvalidArgument,
               "changes no tensor");
  const std::vector<FileTensor> unknown = {{"nothing", tensor::Tensor(tensor::DType::kF32, {2})}};
  EXPECT_ERROR(WriteEdit(folder_ / "base", folder_ / "x", unknown, {}), ErrorCode::kInvalidArgument,
               "has no tensor 'nothing'");
  const std::vector<FileTensor> wrong = {
      {"model.norm.weight", tensor::Tensor(tensor::DType::kF32, {2})}};
  EXPECT_ERROR(WriteEdit(folder_ / "base", folder_ / "x", wrong, {}), ErrorCode::kInvalidArgument,
               "F32 [2] was given, BF16");
}

TEST_P(EditStack, EncodesWhatItCanGiveBackOnly) {
  ASSERT_OK(WriteGgufModel(folder_ / "m.gguf", spec_, {}, {}, [&](const std::string& name) {
    return RandomParameter(spec_, name, 5);
  }));
  ASSERT_OK_AND_ASSIGN(const ModelFiles files, ModelFiles::Open(folder_ / "m.gguf"));
  ASSERT_OK_AND_ASSIGN(const tensor::Tensor values, RandomParameter(spec_, kDown, 9));
  EXPECT_ERROR(files.Encode(kDown, values), ErrorCode::kUnsupported, "stands in a GGUF file");
}

}  // namespace
}  // namespace metier::model
