#include "format/gguf.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "mutate.h"
#include "support/fixtures.h"

namespace metier::format {
namespace {

using tensor::DType;
using tensor::Tensor;
using ::testing::ElementsAre;

// Bytes of a file put together by hand, to say things that our writer never would.
class Raw {
 public:
  Raw(std::uint32_t version, std::uint64_t tensors, std::uint64_t entries) {
    text_ = "GGUF";
    Add(version).Add(tensors).Add(entries);
  }
  template <class T>
  Raw& Add(T value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof(T));
    return *this;
  }
  Raw& Text(const std::string& text) {
    Add<std::uint64_t>(text.size());
    text_ += text;
    return *this;
  }
  Raw& Key(const std::string& key, std::uint32_t type) { return Text(key).Add(type); }
  Raw& Tensor(const std::string& name, const std::vector<std::uint64_t>& dims, std::uint32_t type,
              std::uint64_t offset) {
    Text(name).Add(static_cast<std::uint32_t>(dims.size()));
    for (const std::uint64_t d : dims) Add(d);
    return Add(type).Add(offset);
  }
  Raw& Data(std::size_t bytes, std::size_t alignment = 32) {
    while (text_.size() % alignment != 0) text_ += '\0';
    text_.append(bytes, '\0');
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

class Gguf : public ::testing::Test {
 protected:
  Result<GgufFile> Open(const std::string& text, const Limits& limits = {}) {
    // A new file each time: file systems flush one that is cut off and rewritten.
    std::filesystem::remove(temp_ / "x.gguf");
    test::WriteAll(temp_ / "x.gguf", text);
    return GgufFile::Open(temp_ / "x.gguf", limits);
  }
  Result<GgufFile> Open(const Raw& raw, const Limits& limits = {}) {
    return Open(raw.text(), limits);
  }

  test::TempFolder temp_;
};

const std::map<std::string, GgufValue>& SomeMetadata() {
  static const std::map<std::string, GgufValue> metadata = {
      {"general.architecture", std::string("llama")},
      {"a.u32", std::uint64_t{7}},
      {"a.u64", std::uint64_t{1} << 63},
      {"a.i32", std::int64_t{-7}},
      {"a.i64", std::int64_t{-1} << 40},
      {"a.f32", 0.5},
      {"a.f64", 0.1},
      {"a.inf", static_cast<double>(INFINITY)},
      {"a.bool", true},
      {"a.empty", std::string()},
      {"a.ints", std::vector<std::int64_t>{1, -2}},
      {"a.longs", std::vector<std::int64_t>{1, std::int64_t{1} << 40}},
      {"a.floats", std::vector<double>{1.5, -2}},
      {"a.doubles", std::vector<double>{0.1}},
      {"a.bools", std::vector<bool>{true, false}},
      {"a.texts", std::vector<std::string>{"", "b", "\xff"}},
      {"a.none", std::vector<std::string>{}},
  };
  return metadata;
}

TEST_F(Gguf, RoundTripsMetadataAndTensors) {
  Tensor a(DType::kF32, {2, 3});
  a.f32()[5] = 4.5F;
  Tensor q(DType::kQ8_0, {2, 2, 32});
  q.bytes()[100] = std::byte{7};
  const Tensor scalar(DType::kF16, {});
  auto metadata = SomeMetadata();
  metadata["general.alignment"] = std::uint64_t{64};  // ours is 32: must not survive
  ASSERT_OK(WriteGguf(temp_ / "t.gguf", metadata,
                      {{"q", q.view()}, {"a", a.view()}, {"s", scalar.view()}}));
  ASSERT_OK_AND_ASSIGN(const GgufFile file, GgufFile::Open(temp_ / "t.gguf"));
  EXPECT_EQ(file.metadata(), SomeMetadata());
  EXPECT_THAT(file.Names(), ElementsAre("a", "q", "s"));
  EXPECT_EQ(file.Find("a")->shape, (tensor::Shape{2, 3}));
  EXPECT_EQ(file.Find("q")->shape, (tensor::Shape{2, 2, 32}));
  EXPECT_EQ(file.Find("q")->dtype, DType::kQ8_0);
  EXPECT_TRUE(file.Find("s")->shape.empty());
  EXPECT_TRUE(std::ranges::equal(file.Find("a")->bytes, a.bytes()));
  EXPECT_TRUE(std::ranges::equal(file.Find("q")->bytes, q.bytes()));
  EXPECT_EQ(file.Find("b"), nullptr);
}

TEST_F(Gguf, TypedLookUpsSayWhatIsWrong) {
  ASSERT_OK(WriteGguf(temp_ / "t.gguf", SomeMetadata(), {}));
  ASSERT_OK_AND_ASSIGN(const GgufFile file, GgufFile::Open(temp_ / "t.gguf"));
  EXPECT_EQ(*file.Int("a.u32"), 7);
  EXPECT_EQ(*file.Int("a.i64"), std::int64_t{-1} << 40);
  EXPECT_EQ(*file.Float("a.f64"), 0.1);
  EXPECT_EQ(*file.Text("general.architecture"), "llama");
  EXPECT_EQ(*file.IntOr("b", 3), 3);
  EXPECT_EQ(*file.FloatOr("a.f32", 3), 0.5);
  EXPECT_EQ(*file.BoolOr("a.bool", false), true);
  EXPECT_EQ(*file.BoolOr("b", true), true);
  EXPECT_EQ(*file.TextOr("b", "c"), "c");
  EXPECT_ERROR(file.Int("b"), ErrorCode::kNotFound, "'b' is missing");
  EXPECT_ERROR(file.Int("a.u64"), ErrorCode::kDataCorrupt, "below 2^63");
  EXPECT_ERROR(file.IntOr("a.f32", 3), ErrorCode::kDataCorrupt, "a.f32");
  EXPECT_ERROR(file.FloatOr("a.u32", 3), ErrorCode::kDataCorrupt, "floating");
  EXPECT_ERROR(file.BoolOr("a.u32", false), ErrorCode::kDataCorrupt, "bool");
  EXPECT_ERROR(file.TextOr("a.u32", ""), ErrorCode::kDataCorrupt, "string");
}

TEST_F(Gguf, ReadsVersion2AndSmallIntegers) {
  Raw raw(2, 0, 5);
  raw.Key("u8", 0).Add<std::uint8_t>(200).Key("i8", 1).Add<std::int8_t>(-3);
  raw.Key("u16", 2).Add<std::uint16_t>(60000).Key("i16", 3).Add<std::int16_t>(-300);
  raw.Key("bytes", 9).Add<std::uint32_t>(1).Add<std::uint64_t>(2);
  raw.Add<std::int8_t>(-1).Add<std::int8_t>(5);
  ASSERT_OK_AND_ASSIGN(const GgufFile file, Open(raw));
  EXPECT_EQ(*file.Int("u8"), 200);
  EXPECT_EQ(*file.Int("i8"), -3);
  EXPECT_EQ(*file.Int("u16"), 60000);
  EXPECT_EQ(*file.Int("i16"), -300);
  EXPECT_EQ(std::get<std::vector<std::int64_t>>(*file.Metadata("bytes")),
            (std::vector<std::int64_t>{-1, 5}));
}

TEST_F(Gguf, HonoursTheFilesAlignment) {
  Raw raw(3, 1, 1);
  raw.Key("general.alignment", 4).Add<std::uint32_t>(128);
  raw.Tensor("a", {1}, 0, 0).Data(0, 128).Add(2.5F);
  ASSERT_OK_AND_ASSIGN(const GgufFile file, Open(raw));
  float value = 0;
  std::memcpy(&value, file.Find("a")->bytes.data(), 4);
  EXPECT_EQ(value, 2.5F);
}

TEST_F(Gguf, RefusesBrokenHeaders) {
  const auto corrupt = ErrorCode::kDataCorrupt;
  EXPECT_ERROR(Open(std::string("GGML")), corrupt, "\"GGUF\"");
  EXPECT_ERROR(Open(Raw(1, 0, 0)), ErrorCode::kUnsupported, "version 1");
  EXPECT_ERROR(Open(Raw(0x03000000, 0, 0)), ErrorCode::kUnsupported, "big-endian");
  EXPECT_ERROR(Open(Raw(3, 1ULL << 60, 0)), ErrorCode::kResourceExhausted, "tensors, limit");
  EXPECT_ERROR(Open(Raw(3, 0, 1ULL << 60)), ErrorCode::kResourceExhausted, "metadata entries");
  EXPECT_ERROR(Open(Raw(3, 0, 1)), corrupt, "truncated");
  EXPECT_ERROR(Open(Raw(3, 0, 1).Key("", 4)), corrupt, "empty metadata key");
  EXPECT_ERROR(Open(Raw(3, 0, 1).Key("k", 13).Add<std::uint64_t>(0)), corrupt, "value type 13");
  EXPECT_ERROR(Open(Raw(3, 0, 1).Key("k", 7).Add<std::uint8_t>(2)), corrupt, "a bool of 2");
  EXPECT_ERROR(Open(Raw(3, 0, 2).Key("k", 0).Add('a').Key("k", 0).Add('a')), corrupt,
               "'k' stands twice");
  EXPECT_ERROR(Open(Raw(3, 0, 1).Key("general.alignment", 4).Add<std::uint32_t>(24)), corrupt,
               "power of two");
  EXPECT_ERROR(Open(Raw(3, 0, 1).Key("general.alignment", 4).Add<std::uint32_t>(0)), corrupt,
               "power of two");
}

TEST_F(Gguf, RefusesOversizedArraysAndStringsBeforeAllocating) {
  const auto array = [](std::uint32_t type, std::uint64_t count) {
    return Raw(3, 0, 1).Key("k", 9).Add(type).Add(count);
  };
  const auto over = ErrorCode::kResourceExhausted;
  EXPECT_ERROR(Open(array(4, 1ULL << 62)), over, "elements in 'k', limit");
  EXPECT_ERROR(Open(array(4, 1ULL << 27)), ErrorCode::kDataCorrupt, "truncated");
  EXPECT_ERROR(Open(array(8, 1ULL << 27)), ErrorCode::kDataCorrupt, "truncated");
  EXPECT_ERROR(Open(array(9, 1)), ErrorCode::kUnsupported, "array of arrays");
  EXPECT_ERROR(Open(array(77, 1)), ErrorCode::kDataCorrupt, "value type 77");
  EXPECT_ERROR(Open(array(10, 1).Add(~0ULL)), ErrorCode::kUnsupported, "above 2^63 - 1");
  EXPECT_ERROR(Open(Raw(3, 0, 1).Key("k", 8).Add<std::uint64_t>(1ULL << 40)), over, "bytes in k");
  EXPECT_ERROR(Open(Raw(3, 0, 1).Text(std::string(70'000, 'k'))), over, "metadata key");
}

TEST_F(Gguf, RefusesBrokenTensors) {
  const auto corrupt = ErrorCode::kDataCorrupt;
  const auto one = [](const std::vector<std::uint64_t>& dims, std::uint32_t type,
                      std::uint64_t offset, std::size_t bytes) {
    return Raw(3, 1, 0).Tensor("a", dims, type, offset).Data(bytes);
  };
  EXPECT_ERROR(Open(one({2}, 0, 0, 7)), corrupt, "8 bytes at offset 0, but the data has 7");
  EXPECT_ERROR(Open(one({2}, 0, 4, 64)), corrupt, "multiple of the alignment");
  EXPECT_ERROR(Open(one({2}, 0, ~31ULL, 64)), corrupt, "truncated");
  EXPECT_ERROR(Open(one({1, 1, 1, 1, 1}, 0, 0, 4)), corrupt, "5 dimensions");
  EXPECT_ERROR(Open(one({33}, 8, 0, 68)), corrupt, "not whole Q8_0 blocks of 32");
  EXPECT_ERROR(Open(one({16, 2}, 8, 0, 34)), corrupt, "rows of 16");  // blocks may not span rows
  EXPECT_ERROR(Open(one({256}, 16, 0, 66)), ErrorCode::kUnsupported, "IQ2_XXS");
  EXPECT_ERROR(Open(one({256}, 4, 0, 66)), ErrorCode::kUnsupported, "type 4 (unknown)");
  EXPECT_ERROR(Open(one({1ULL << 32, 1ULL << 32}, 0, 0, 0)), ErrorCode::kResourceExhausted,
               "limit");
  EXPECT_ERROR(Open(one({0, ~0ULL}, 0, 0, 0)), ErrorCode::kResourceExhausted, "limit");
  EXPECT_ERROR(Open(Raw(3, 1, 0).Text(std::string(65, 'n'))), ErrorCode::kResourceExhausted,
               "tensor name");
  EXPECT_ERROR(Open(Raw(3, 2, 0).Tensor("a", {9}, 0, 0).Tensor("b", {9}, 0, 32).Data(96)), corrupt,
               "inside another tensor");
  EXPECT_ERROR(Open(Raw(3, 2, 0).Tensor("a", {8}, 0, 0).Tensor("a", {8}, 0, 32).Data(64)), corrupt,
               "'a' stands twice");
}

TEST_F(Gguf, SurvivesEveryTruncationAndFlippedByte) {
  Tensor a(DType::kF32, {2, 2});
  const Tensor q(DType::kQ4_0, {32});
  ASSERT_OK(WriteGguf(temp_ / "t",
                      {{"general.architecture", std::string("llama")},
                       {"a.texts", std::vector<std::string>{"x", "yz"}},
                       {"a.floats", std::vector<double>{1, 2}}},
                      {{"a", a.view()}, {"q", q.view()}}));
  std::string valid = test::ReadAll(temp_ / "t");
  valid.resize(valid.size() - 14);  // the padding after the last tensor may be cut off
  ASSERT_OK(Open(valid));
  test::EachTruncation(valid, [&](const std::string& broken) {
    EXPECT_FALSE(Open(broken).ok()) << broken.size() << " bytes of " << valid.size();
  });
  int survived = 0;
  test::EachFlippedByte(valid, valid.size(), [&](const std::string& broken) {
    const auto file = Open(broken);
    if (!file.ok()) return;
    ++survived;
    for (const std::string& name : file->Names()) {
      for (const std::byte byte : file->Find(name)->bytes) EXPECT_GE(std::to_integer<int>(byte), 0);
    }
  });
  EXPECT_GT(survived, 100);
}

TEST_F(Gguf, WriterRefusesWhatCannotBeReadBack) {
  const auto bad = ErrorCode::kInvalidArgument;
  const Tensor a(DType::kF32, {2});
  const Tensor deep(DType::kF32, {1, 1, 1, 1, 1});
  const Tensor u(DType::kU32, {2});
  const auto write = [&](const std::vector<NamedTensor>& tensors) {
    return WriteGguf(temp_ / "t", {}, tensors);
  };
  EXPECT_ERROR(write({{"a", a.view()}, {"a", a.view()}}), bad, "twice");
  EXPECT_ERROR(write({{std::string(65, 'a'), a.view()}}), bad, "64 bytes");
  EXPECT_ERROR(write({{"a", deep.view()}}), bad, "more than 4 dimensions");
  EXPECT_ERROR(write({{"a", u.view()}}), bad, "U32 is not a GGUF type");
  EXPECT_ERROR(WriteGguf(temp_ / "t", {{"", true}}, {}), bad, "keys have");
  EXPECT_ERROR(StreamGguf(temp_ / "t", {}, {{"a", DType::kQ8_0, {2, 16}}}, ProducerOf({})), bad,
               "whole blocks of 32");
}

}  // namespace
}  // namespace metier::format
