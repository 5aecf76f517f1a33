#include "format/safetensors.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/json.h"
#include "mutate.h"
#include "support/fixtures.h"

namespace metier::format {
namespace {

using tensor::DType;
using tensor::Tensor;
using ::testing::ElementsAre;

// A file of this header and so many zero bytes.
std::string FileOf(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t size = header.size();
  std::string text(reinterpret_cast<const char*>(&size), 8);
  return text + header + std::string(data_bytes, '\0');
}

class Safetensors : public ::testing::Test {
 protected:
  Result<SafetensorsFile> Open(const std::string& text, const Limits& limits = {}) {
    // A new file each time: file systems flush one that is cut off and rewritten.
    std::filesystem::remove(temp_ / "x.safetensors");
    test::WriteAll(temp_ / "x.safetensors", text);
    return SafetensorsFile::Open(temp_ / "x.safetensors", limits);
  }
  void ExpectRefused(const std::string& header, std::size_t data_bytes, ErrorCode code,
                     const std::string& why) {
    SCOPED_TRACE(header);
    EXPECT_ERROR(Open(FileOf(header, data_bytes)), code, why);
  }

  test::TempFolder temp_;
};

Tensor Numbers(tensor::Shape shape, float first) {
  Tensor tensor(DType::kF32, std::move(shape));
  for (float& value : tensor.f32()) value = first++;
  return tensor;
}

TEST_F(Safetensors, RoundTripsNamesTypesShapesBytesAndMetadata) {
  const Tensor a = Numbers({2, 3}, 1);
  const Tensor scalar = Numbers({}, 7);
  const Tensor empty(DType::kI64, {0, 4});
  Tensor odd(DType::kU8, {5});
  odd.bytes()[4] = std::byte{9};
  const std::vector<NamedTensor> tensors = {{"odd", odd.view()},
                                            {"a.\"quoted\"\n", a.view()},
                                            {"scalar", scalar.view()},
                                            {"empty", empty.view()}};
  ASSERT_OK(WriteSafetensors(temp_ / "t.safetensors", tensors, {{"format", "pt"}}));
  ASSERT_OK_AND_ASSIGN(const auto file, SafetensorsFile::Open(temp_ / "t.safetensors"));
  EXPECT_THAT(file.Names(), ElementsAre("a.\"quoted\"\n", "empty", "odd", "scalar"));
  EXPECT_EQ(file.metadata(), (StringMap{{"format", "pt"}}));
  for (const NamedTensor& expected : tensors) {
    const auto* found = file.Find(expected.name);
    ASSERT_NE(found, nullptr) << expected.name;
    EXPECT_EQ(found->dtype, expected.tensor.dtype);
    EXPECT_EQ(found->shape, expected.tensor.shape);
    EXPECT_TRUE(std::ranges::equal(found->bytes, expected.tensor.bytes)) << expected.name;
  }
  EXPECT_EQ(file.Find("absent"), nullptr);
}

TEST_F(Safetensors, DataStartsAtAMultipleOf64Bytes) {
  const Tensor a = Numbers({1}, 1);
  for (const char* name : {"a", "ab", "a-name-that-is-longer"}) {
    ASSERT_OK(WriteSafetensors(temp_ / "t.safetensors", {{name, a.view()}}, {}));
    EXPECT_EQ((test::ReadAll(temp_ / "t.safetensors").size() - 4) % 64, 0U);
  }
}

TEST_F(Safetensors, ReadsTheFixturesHeaderAsWritten) {
  METIER_NEEDS_SHARED(shared);
  test::UnpackTarZstd(shared + "/fixtures/models/bert/model.tar.zst", temp_.path());
  ASSERT_OK_AND_ASSIGN(const auto file, SafetensorsFile::Open(temp_ / "hf/model.safetensors"));
  const auto* ids = file.Find("embeddings.position_ids");
  ASSERT_NE(ids, nullptr);
  EXPECT_EQ(ids->dtype, DType::kI64);
  EXPECT_EQ(ids->shape, (tensor::Shape{1, 128}));
  std::int64_t second = 0;
  std::memcpy(&second, ids->bytes.data() + 8, 8);
  EXPECT_EQ(second, 1);
}

TEST_F(Safetensors, RefusesWhatTheFormatForbids) {
  const auto corrupt = ErrorCode::kDataCorrupt;
  EXPECT_ERROR(Open(""), corrupt, "header length");
  EXPECT_ERROR(Open(FileOf("{}", 0).substr(0, 9)), corrupt, "header");
  ExpectRefused(" {}", 0, corrupt, "'{'");
  ExpectRefused("[]", 0, corrupt, "'{'");
  ExpectRefused(R"({"a":)", 0, corrupt, "JSON");
  ExpectRefused(R"({"a":1})", 0, corrupt, "not an object");
  ExpectRefused(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4, corrupt, "\"dtype\" is missing");
  ExpectRefused(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4, corrupt, "\"shape\"");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1]}})", 4, corrupt, "\"data_offsets\"");
  ExpectRefused(R"({"a":{"dtype":7,"shape":[1],"data_offsets":[0,4]}})", 4, corrupt, "dtype");
  ExpectRefused(R"({"a":{"dtype":"F4","shape":[1],"data_offsets":[0,4]}})", 4,
                ErrorCode::kUnsupported, "\"F4\" is not one we read; known: F64 F32");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, corrupt, "-1");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4, corrupt, "1.5");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, corrupt, "[begin");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, corrupt, "[4, 0]");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, corrupt,
                "takes 8 bytes");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4, corrupt,
                "truncated");
  ExpectRefused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"scale":2}})", 1, corrupt,
                "unknown key \"scale\"");
  ExpectRefused(R"({"__metadata__":{"a":1}})", 0, corrupt, "only strings");
  ExpectRefused(R"({"__metadata__":"a"})", 0, corrupt, "object of strings");
}

TEST_F(Safetensors, RefusesOverlapsHolesAndDuplicates) {
  const auto corrupt = ErrorCode::kDataCorrupt;
  const std::string a = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]})";
  ExpectRefused(a + R"(,"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})", 6, corrupt,
                "tensor 'b': starts at byte 2 of the data, expected 4");
  ExpectRefused(a + R"(,"b":{"dtype":"U8","shape":[4],"data_offsets":[5,9]}})", 9, corrupt,
                "expected 4");
  ExpectRefused(a + "}", 6, corrupt, "6 bytes of data, of which the header explains 4");
  ExpectRefused(a + R"(,"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})", 8, corrupt,
                "stands twice");
}

TEST_F(Safetensors, RefusesSizesBeyondTheLimitsBeforeAllocating) {
  const auto over = ErrorCode::kResourceExhausted;
  std::string huge = FileOf("{}", 0);
  huge[7] = '\x7f';
  EXPECT_ERROR(Open(huge), over, "limit 104857600");
  ExpectRefused(R"({"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,1]}})", 1,
                over, "limit of");
  ExpectRefused(R"({"a":{"dtype":"U8","shape":[0,18446744073709551615],"data_offsets":[0,0]}})", 0,
                over, "limit of");
  Limits limits;
  limits.max_tensors = 1;
  EXPECT_ERROR(Open(FileOf(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},
                             "b":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
                           0),
                    limits),
               over, "2 tensors, limit 1");
}

TEST_F(Safetensors, SurvivesEveryTruncationAndFlippedByte) {
  const Tensor a = Numbers({2, 2}, 1);
  const Tensor b = Numbers({3}, 5);
  ASSERT_OK(WriteSafetensors(temp_ / "t", {{"a", a.view()}, {"b", b.view()}}, {{"k", "v"}}));
  const std::string valid = test::ReadAll(temp_ / "t");
  test::EachTruncation(valid, [&](const std::string& broken) {
    EXPECT_FALSE(Open(broken).ok()) << broken.size() << " bytes of " << valid.size();
  });
  int survived = 0;
  test::EachFlippedByte(valid, valid.size(), [&](const std::string& broken) {
    const auto file = Open(broken);
    if (!file.ok()) return;
    ++survived;  // a changed name, value or weight: every byte must still be there to read
    for (const std::string& name : file->Names()) {
      for (const std::byte byte : file->Find(name)->bytes) EXPECT_GE(std::to_integer<int>(byte), 0);
    }
  });
  EXPECT_GT(survived, 100);
}

TEST_F(Safetensors, WriterRefusesWhatCannotBeReadBack) {
  const Tensor a = Numbers({2}, 1);
  const Tensor q(DType::kQ8_0, {32});
  const auto bad = ErrorCode::kInvalidArgument;
  EXPECT_ERROR(WriteSafetensors(temp_ / "t", {{"a", a.view()}, {"a", a.view()}}, {}), bad, "twice");
  EXPECT_ERROR(WriteSafetensors(temp_ / "t", {{"__metadata__", a.view()}}, {}), bad, "reserved");
  EXPECT_ERROR(WriteSafetensors(temp_ / "t", {{"q", q.view()}}, {}), ErrorCode::kUnsupported,
               "Q8_0");
  const auto three_bytes = [](std::size_t, const ByteSink& sink) {
    return sink(std::as_bytes(std::span("ab")));
  };
  EXPECT_ERROR(StreamSafetensors(temp_ / "t", {{"a", DType::kF32, {1}}}, {}, three_bytes), bad,
               "3 bytes were given");
  EXPECT_ERROR(StreamSafetensors(temp_ / "t", {{"a", DType::kU8, {1}}}, {}, three_bytes), bad,
               "3 bytes were given");
  EXPECT_FALSE(std::filesystem::exists(temp_ / "t"));
  EXPECT_TRUE(std::filesystem::is_empty(temp_.path()));  // no temporary file was left either
}

TEST_F(Safetensors, ShardsReadBackAsOneModel) {
  const Tensor a = Numbers({4}, 1);  // 16 bytes each
  const Tensor b = Numbers({4}, 5);
  const Tensor c = Numbers({16}, 9);  // larger than a shard: one of its own
  const std::vector<NamedTensor> tensors = {{"a", a.view()}, {"b", b.view()}, {"c", c.view()}};
  ASSERT_OK(WriteSafetensorsModel(temp_.path(), tensors, {{"format", "pt"}}, 32));
  EXPECT_TRUE(std::filesystem::exists(temp_ / "model-00002-of-00002.safetensors"));
  ASSERT_OK_AND_ASSIGN(const auto model, OpenSafetensorsModel(temp_.path()));
  EXPECT_THAT(model->Names(), ElementsAre("a", "b", "c"));
  EXPECT_TRUE(std::ranges::equal(model->Find("c")->bytes, c.bytes()));
  EXPECT_TRUE(std::ranges::equal(model->Find("b")->bytes, b.bytes()));
  EXPECT_EQ(model->Find("d"), nullptr);

  ASSERT_OK(
      WriteSafetensorsModel(temp_.path(), {{"a", a.view()}}, {}));  // one file replaces shards
  EXPECT_FALSE(std::filesystem::exists(temp_ / "model.safetensors.index.json"));
  ASSERT_OK_AND_ASSIGN(const auto single, OpenSafetensorsModel(temp_.path()));
  EXPECT_THAT(single->Names(), ElementsAre("a"));
}

TEST_F(Safetensors, RefusesShardsThatDoNotFitTheirIndex) {
  const Tensor a = Numbers({4}, 1);
  const std::string index = temp_ / "model.safetensors.index.json";
  const auto open = [&] { return OpenSafetensorsModel(temp_.path()); };
  EXPECT_ERROR(open(), ErrorCode::kNotFound, "neither model.safetensors nor");
  test::WriteAll(temp_ / "pytorch_model.bin", "");
  EXPECT_ERROR(open(), ErrorCode::kNotFound, "pickle");
  ASSERT_OK(WriteSafetensors(temp_ / "s", {{"a", a.view()}, {"b", a.view()}}, {}));
  test::WriteAll(index, "{}");
  EXPECT_ERROR(open(), ErrorCode::kDataCorrupt, "weight_map");
  test::WriteAll(index, R"({"weight_map":{"a":"s","c":"s"}})");
  EXPECT_ERROR(open(), ErrorCode::kDataCorrupt, "'c': the index places it in 's'");
  test::WriteAll(index, R"({"weight_map":{"a":"s"}})");
  EXPECT_ERROR(open(), ErrorCode::kDataCorrupt, "'b': stands in 's'");
  test::WriteAll(index, R"({"weight_map":{"a":"../s"}})");
  EXPECT_ERROR(open(), ErrorCode::kDataCorrupt, "not a plain file name");
  test::WriteAll(index, R"({"weight_map":{"a":3}})");
  EXPECT_ERROR(open(), ErrorCode::kDataCorrupt, "not a file name");
  test::WriteAll(index, R"({"weight_map":{"a":"t"}})");
  EXPECT_ERROR(open(), ErrorCode::kNotFound, "/t'");
}

}  // namespace
}  // namespace metier::format
