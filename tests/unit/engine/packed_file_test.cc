// Packed files: the bits of what they were made from, mapped and not copied; and what is refused.
#include "engine/packed_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "../format/mutate.h"
#include "base/json.h"
#include "engine/expert_cache.h"
#include "engine/packing.h"
#include "format/gguf.h"
#include "format/safetensors.h"
#include "model/packed_index.h"
#include "tiny_models.h"

namespace metier::engine::test {
namespace {

using metier::test::TempFolder;
using model::ModelFiles;
using tensor::DType;

constexpr int kThreads = 2;

class PackedFileSweep : public EveryFamily {
 protected:
  model::ParameterReader Read() {
    return [this](const std::string& name) { return RandomParameterOf(spec_, name); };
  }

  // Packs a model and compares every result of the two.
  void ExpectTheSameBits(const std::string& source, const std::string& packed) {
    SCOPED_TRACE(source);
    const bool folder = std::filesystem::is_directory(source);
    if (folder) std::filesystem::create_directory(packed);
    ASSERT_OK_AND_ASSIGN(const ModelFiles files, ModelFiles::Open(source));
    ASSERT_OK(
        WritePackedFile(files, folder ? packed + "/" + model::kPackedFileName : packed, kThreads));
    ASSERT_OK_AND_ASSIGN(const auto plain, NativeModel::Open(source));
    ASSERT_OK_AND_ASSIGN(const auto mapped, NativeModel::Open(packed));
    EXPECT_TRUE(mapped->spec() == plain->spec());
    EXPECT_TRUE(mapped->weights().linears().begin()->second.w.packing.has_value());
    // Norms and biases, a few rows of few outputs: no matrix of the file is copied.
    std::uint64_t small = 0;
    for (const model::Parameter& parameter : model::Parameters(spec_)) {
      if (parameter.shape.size() == 1)
        small += 4 * static_cast<std::uint64_t>(parameter.shape.front());
    }
    EXPECT_LE(mapped->weights().owned_bytes(), small);
    const std::vector<model::TokenId> tokens = RandomTokens(spec_, 21, 1);
    for (const Arithmetic arithmetic : {Arithmetic::kExact, Arithmetic::kFast}) {
      NativeBackend one(plain, {.threads = 1, .arithmetic = arithmetic});
      NativeBackend other(mapped, {.threads = kThreads, .arithmetic = arithmetic});
      EXPECT_TRUE(RunWhole(one, tokens) == RunWhole(other, tokens));
    }
  }
};

TEST_P(PackedFileSweep, ComputesTheBitsOfItsSource) {
  const TempFolder folder;
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const std::string name(tensor::InfoOf(dtype).name);
    ASSERT_OK(model::WriteHuggingFaceModel(folder / name, spec_, dtype, Read()));
    ExpectTheSameBits(folder / name, folder / (name + "-packed"));
  }
  if (GetParam()->from_gguf == nullptr) return;
  for (const DType dtype : {DType::kF32, DType::kQ4_0, DType::kQ8_0}) {
    const std::string name(tensor::InfoOf(dtype).name);
    const Status written =
        model::WriteGgufModel(folder / (name + ".gguf"), spec_, {.dtype = dtype}, {}, Read());
    if (!written.ok()) continue;  // what the format cannot say (model/ tests which)
    ExpectTheSameBits(folder / (name + ".gguf"), folder / (name + "-packed.gguf"));
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, PackedFileSweep,
                         ::testing::ValuesIn(model::Families().begin(), model::Families().end()),
                         FamilyName);

class PackedFiles : public ::testing::Test {
 protected:
  // A packed model of a family, as a folder and as a GGUF file.
  void Pack(const char* family) {
    spec_ = (*model::FindFamily(family))->tiny();
    const auto read = [&](const std::string& name) { return RandomParameterOf(spec_, name); };
    ASSERT_OK(model::WriteHuggingFaceModel(temp_ / "hf", spec_, DType::kBF16, read));
    ASSERT_OK_AND_ASSIGN(const ModelFiles files, ModelFiles::Open(temp_ / "hf"));
    std::filesystem::create_directory(temp_ / "packed");
    ASSERT_OK(WritePackedFile(files, temp_ / "packed/packed.safetensors", kThreads));
    ASSERT_OK(model::WriteGgufModel(temp_ / "m.gguf", spec_, {.dtype = DType::kQ8_0}, {}, read));
    ASSERT_OK_AND_ASSIGN(const ModelFiles gguf, ModelFiles::Open(temp_ / "m.gguf"));
    ASSERT_OK(WritePackedFile(gguf, temp_ / "packed.gguf", kThreads));
  }
  // The folder again, with another index or other tensors.
  void Rewrite(const std::function<void(Json& index, std::vector<format::NamedTensor>&)>& change) {
    ASSERT_OK_AND_ASSIGN(const auto file, format::SafetensorsFile::Open(Path()));
    ASSERT_OK_AND_ASSIGN(Json index, ParseJson(file.metadata().at(model::kPackedKey)));
    std::vector<format::NamedTensor> tensors;
    for (const std::string& name : file.Names()) tensors.push_back({name, *file.Find(name)});
    change(index, tensors);
    std::filesystem::create_directory(temp_ / "changed");
    ASSERT_OK(format::WriteSafetensors(temp_ / "changed/packed.safetensors", tensors,
                                       {{model::kPackedKey, DumpCompact(index)}}));
  }
  void ChangeIndex(const std::function<void(Json& index)>& change) {
    Rewrite([&](Json& index, std::vector<format::NamedTensor>&) { change(index); });
  }
  auto OpenChanged() { return NativeModel::Open(temp_ / "changed"); }
  std::string Path() const { return temp_ / "packed/packed.safetensors"; }

  TempFolder temp_;
  model::ModelSpec spec_;
};

TEST_F(PackedFiles, SayHowFarTheyAre) {
  Pack("llama");
  ASSERT_OK_AND_ASSIGN(const ModelFiles files, ModelFiles::Open(temp_ / "m.gguf"));
  std::vector<std::uint64_t> told;
  std::uint64_t whole = 0;
  const auto note = [&](std::uint64_t done, std::uint64_t total, std::string_view) -> Status {
    told.push_back(done);
    whole = total;
    return Ok();
  };
  ASSERT_OK_AND_ASSIGN(const PackedFile written,
                       WritePackedFile(files, temp_ / "told.gguf", kThreads, note));
  EXPECT_EQ(whole, written.panel_bytes + written.row_bytes);
  ASSERT_GE(told.size(), model::Parameters(spec_).size());
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_EQ(told.back(), whole);
  const auto stop = [](std::uint64_t, std::uint64_t, std::string_view) -> Status {
    return Error(ErrorCode::kIo, "enough");
  };
  EXPECT_ERROR(WritePackedFile(files, temp_ / "stopped.gguf", kThreads, stop), ErrorCode::kIo,
               "enough");
  EXPECT_FALSE(std::filesystem::exists(temp_ / "stopped.gguf"));
}

TEST_F(PackedFiles, KeepWhatTheirSourceSaysBesideTheWeights) {
  Pack("llama");
  ASSERT_OK_AND_ASSIGN(const auto source, format::GgufFile::Open(temp_ / "m.gguf"));
  ASSERT_OK_AND_ASSIGN(const auto packed, format::GgufFile::Open(temp_ / "packed.gguf"));
  for (const auto& [key, value] : source.metadata()) {
    ASSERT_NE(packed.Metadata(key), nullptr) << key;
    EXPECT_TRUE(*packed.Metadata(key) == value) << key;
  }
  ASSERT_OK_AND_ASSIGN(const ModelFiles files, ModelFiles::Open(temp_ / "packed.gguf"));
  EXPECT_EQ(files.packed_layout(), PanelLayout());
  EXPECT_EQ(files.StoredType("layers.0.attn.q.weight"), DType::kQ8_0);
  EXPECT_TRUE(files.Unused().empty());
}

TEST_F(PackedFiles, AreRunAndNothingElse) {
  Pack("llama");
  ASSERT_OK_AND_ASSIGN(const ModelFiles files, ModelFiles::Open(temp_ / "packed.gguf"));
  EXPECT_ERROR(files.LoadF32("layers.0.attn.q.weight"), ErrorCode::kUnsupported,
               "use the model from which this one was packed");
  EXPECT_ERROR(files.Load("layers.0.attn.q.weight"), ErrorCode::kUnsupported, "is packed");
  EXPECT_FALSE(files.Borrow("layers.0.attn.q.weight"));
  EXPECT_OK(files.LoadF32("layers.0.attn_norm.weight"));
  EXPECT_ERROR(WritePackedFile(files, temp_ / "twice.gguf", 1), ErrorCode::kInvalidArgument,
               "is packed already");
}

TEST_F(PackedFiles, HoldMatricesOfMorePanelsThanAreWrittenTogether) {
  spec_ = (*model::FindFamily("llama"))->tiny();
  spec_.vocab = 64 * 64 + 100;
  ASSERT_OK(model::WriteHuggingFaceModel(
      temp_ / "hf", spec_, DType::kBF16,
      [&](const std::string& name) { return RandomParameterOf(spec_, name); }));
  ASSERT_OK_AND_ASSIGN(const ModelFiles files, ModelFiles::Open(temp_ / "hf"));
  std::filesystem::create_directory(temp_ / "packed");
  ASSERT_OK(WritePackedFile(files, Path(), kThreads));
  ASSERT_OK_AND_ASSIGN(const auto plain, NativeModel::Open(temp_ / "hf"));
  ASSERT_OK_AND_ASSIGN(const auto packed, NativeModel::Open(temp_ / "packed"));
  NativeBackend one(plain, {.threads = 1});
  NativeBackend other(packed, {.threads = 1});
  const std::vector<model::TokenId> tokens = RandomTokens(spec_, 5, 1);
  EXPECT_TRUE(RunWhole(one, tokens) == RunWhole(other, tokens));
}

TEST_F(PackedFiles, OfAnotherLayoutAreRefusedWithWhatToRun) {
  Pack("llama");
  ChangeIndex([](Json& index) { index["layout"] = "panels of 32 outputs"; });
  EXPECT_ERROR(OpenChanged(), ErrorCode::kUnsupported, "metier pack MODEL --out");
  EXPECT_ERROR(OpenChanged(), ErrorCode::kUnsupported, "panels of 32 outputs");
}

TEST_F(PackedFiles, ThatLieAboutTheirTensorsAreRefused) {
  Pack("llama");
  const char* kMatrix = "layers.1.ffn.up.weight";
  const auto set = [&](const char* key, const Json& value) {
    ChangeIndex([&](Json& index) { index["tensors"][kMatrix][key] = value; });
  };
  set("shape", {48, 64});
  EXPECT_ERROR(OpenChanged(), ErrorCode::kDataCorrupt, "has shape [48, 64], the model calls for");
  set("type", "F32");
  EXPECT_ERROR(OpenChanged(), ErrorCode::kDataCorrupt, "bytes of panels, F32 of shape");
  set("type", "I32");
  EXPECT_ERROR(OpenChanged(), ErrorCode::kDataCorrupt, "panels of I32, which is not packed");
  set("type", "Q9");
  EXPECT_ERROR(OpenChanged(), ErrorCode::kDataCorrupt, "its type is not one we know");
  set("form", "rows");
  EXPECT_ERROR(OpenChanged(), ErrorCode::kDataCorrupt, "BF16 of shape [48, 32] takes 3072");
  set("form", "tiles");
  EXPECT_ERROR(OpenChanged(), ErrorCode::kDataCorrupt, "neither panels nor rows");
  ChangeIndex([](Json& index) { index["tensors"]["final_norm.weight"]["form"] = "panels"; });
  EXPECT_ERROR(OpenChanged(), ErrorCode::kDataCorrupt, "is no matrix");
  ChangeIndex([&](Json& index) { index["tensors"].erase(kMatrix); });
  EXPECT_ERROR(OpenChanged(), ErrorCode::kDataCorrupt,
               "parameter 'layers.1.ffn.up.weight' is miss");
  ChangeIndex([](Json& index) { index["tensors"]["x"] = index["tensors"]["embed.tokens"]; });
  EXPECT_ERROR(OpenChanged(), ErrorCode::kDataCorrupt, "the model has");
  ChangeIndex([](Json& index) { index["model"]["heads"] = 3; });
  EXPECT_ERROR(OpenChanged(), ErrorCode::kInvalidArgument, "heads");
  ChangeIndex([](Json& index) { index["model"]["vocab"] = std::int64_t{1} << 40; });
  EXPECT_FALSE(OpenChanged().ok());
}

TEST_F(PackedFiles, WithOtherBytesThanTheirIndexAreRefused) {
  Pack("llama");
  Rewrite([](Json&, std::vector<format::NamedTensor>& tensors) { tensors.pop_back(); });
  EXPECT_ERROR(OpenChanged(), ErrorCode::kDataCorrupt, "has no tensor of bytes");
  Rewrite([](Json&, std::vector<format::NamedTensor>& tensors) {
    for (format::NamedTensor& named : tensors) {
      if (named.name != "layers.0.attn.q.weight") continue;
      named.tensor.bytes = named.tensor.bytes.first(named.tensor.bytes.size() - 64);
      named.tensor.shape = {static_cast<std::int64_t>(named.tensor.bytes.size())};
    }
  });
  EXPECT_ERROR(OpenChanged(), ErrorCode::kDataCorrupt, "layers.0.attn.q.weight: ");
  // Sorted by name, norms stand before matrices and move them off their alignment.
  const std::byte one{1};
  Rewrite([&](Json&, std::vector<format::NamedTensor>& tensors) {
    tensors.insert(tensors.begin(), {"a", {DType::kI8, {1}, {&one, 1}}});
  });
  EXPECT_ERROR(OpenChanged(), ErrorCode::kDataCorrupt, "multiple of 64 bytes");
}

TEST_F(PackedFiles, BesideTheirSourceInOneFolderAreRefused) {
  Pack("llama");
  std::filesystem::copy_file(Path(), temp_ / "hf/packed.safetensors");
  EXPECT_ERROR(NativeModel::Open(temp_ / "hf"), ErrorCode::kInvalidArgument, "both there");
  metier::test::WriteAll(temp_ / "packed/packed.safetensors", "");
  EXPECT_ERROR(NativeModel::Open(temp_ / "packed"), ErrorCode::kDataCorrupt, "packed.safetensors");
}

TEST_F(PackedFiles, ThatAreDamagedNeverCrash) {
  Pack("llama");
  const std::string valid = metier::test::ReadAll(temp_ / "packed.gguf");
  const std::string header = valid.substr(0, valid.find("layers.0.") + 4096);
  const auto open = [&](const std::string& damaged) {
    metier::test::WriteAll(temp_ / "damaged.gguf", damaged);
    static_cast<void>(NativeModel::Open(temp_ / "damaged.gguf"));
  };
  const std::size_t at = valid.find(model::kPackedKey);
  ASSERT_NE(at, std::string::npos);
  for (std::size_t size = at; size < valid.size(); size += 1 + (valid.size() - at) / 200)
    EXPECT_FALSE([&] {
      metier::test::WriteAll(temp_ / "damaged.gguf", valid.substr(0, size));
      return NativeModel::Open(temp_ / "damaged.gguf").ok();
    }()) << size;
  for (std::size_t i = at; i < header.size() && i < valid.size(); i += 13) {
    std::string damaged = valid;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x11);
    open(damaged);
  }
}

TEST_F(PackedFiles, FeedTheExpertCacheWithoutPacking) {
  Pack("mixtral");
  const std::vector<model::TokenId> tokens = RandomTokens(spec_, 17, 2);
  for (const std::string& path : {temp_ / "packed", temp_ / "packed.gguf"}) {
    ASSERT_OK_AND_ASSIGN(const auto all, NativeModel::Open(path));
    std::uint64_t bytes = 0;
    for (const FeedForward& expert : all->weights().layers.front().experts) {
      for (const Linear* linear : {&expert.gate, &expert.up, &expert.down})
        bytes += PackedBytes(linear->w);
    }
    // Half of one layer's.
    ASSERT_OK_AND_ASSIGN(const auto some,
                         NativeModel::Open(path, {}, {.max_expert_bytes = bytes / 2}));
    NativeBackend one(all, {.threads = 1});
    NativeBackend other(some, {.threads = 1});
    EXPECT_TRUE(RunWhole(one, tokens) == RunWhole(other, tokens));
    EXPECT_GT(some->expert_cache()->stats().misses, 0);
    EXPECT_LE(some->expert_cache()->stats().peak_bytes, bytes / 2);
  }
}

}  // namespace
}  // namespace metier::engine::test
