#include "format/token_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "support/fixtures.h"

namespace metier::format {
namespace {

using test::TempFolder;

Status WriteTwo(const std::string& path) {
  METIER_ASSIGN(TokenFileWriter writer, TokenFileWriter::Create(path));
  METIER_TRY(writer.Add(std::vector<std::int32_t>{5, 6, 7}, std::vector<std::uint8_t>{0, 1, 1}));
  METIER_TRY(writer.Add(std::vector<std::int32_t>{8}, std::vector<std::uint8_t>{1}));
  return writer.Finish({{"tokenizer", "abc"}});
}

TEST(TokenFile, KeepsExamplesAndMetadata) {
  const TempFolder folder;
  const std::string path = folder / "tokens.safetensors";
  ASSERT_OK(WriteTwo(path));
  const auto file = TokenFile::Open(path);
  ASSERT_OK(file);
  ASSERT_EQ(file->examples(), 2);
  EXPECT_EQ(file->tokens(), 4);
  EXPECT_THAT(file->starts(), ::testing::ElementsAre(0, 3, 4));
  EXPECT_THAT(file->Ids(0), ::testing::ElementsAre(5, 6, 7));
  EXPECT_THAT(file->Loss(0), ::testing::ElementsAre(0, 1, 1));
  EXPECT_THAT(file->Ids(1), ::testing::ElementsAre(8));
  EXPECT_EQ(file->metadata().at("tokenizer"), "abc");
}

TEST(TokenFile, LargerThanTheBuffers) {
  const TempFolder folder;
  const std::string path = folder / "tokens.safetensors";
  {
    auto writer = TokenFileWriter::Create(path);
    ASSERT_OK(writer);
    for (std::int32_t i = 0; i < 700; ++i)
      ASSERT_OK(
          writer->Add(std::vector<std::int32_t>(1000, i), std::vector<std::uint8_t>(1000, 1)));
    EXPECT_EQ(writer->tokens(), 700'000);
    ASSERT_OK(writer->Finish({}));
  }
  const auto file = TokenFile::Open(path);
  ASSERT_OK(file);
  EXPECT_EQ(file->Ids(699).back(), 699);
  EXPECT_EQ(file->Ids(0).front(), 0);
}

TEST(TokenFile, LeavesNothingWithoutFinish) {
  const TempFolder folder;
  {
    auto writer = TokenFileWriter::Create(folder / "tokens.safetensors");
    ASSERT_OK(writer);
    ASSERT_OK(writer->Add(std::vector<std::int32_t>{1}, std::vector<std::uint8_t>{1}));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(TokenFile, RefusesWhatIsNoExample) {
  const TempFolder folder;
  auto writer = TokenFileWriter::Create(folder / "tokens.safetensors");
  ASSERT_OK(writer);
  EXPECT_ERROR(writer->Add({}, {}), ErrorCode::kInvalidArgument, "without tokens");
  EXPECT_ERROR(writer->Add(std::vector<std::int32_t>{-1}, std::vector<std::uint8_t>{1}),
               ErrorCode::kInvalidArgument, "id -1");
  EXPECT_ERROR(writer->Add(std::vector<std::int32_t>{1}, std::vector<std::uint8_t>{2}),
               ErrorCode::kInvalidArgument, "loss flag 2");
  EXPECT_ERROR(writer->Finish({}), ErrorCode::kInvalidArgument, "no example");
  EXPECT_ERROR(TokenFileWriter::Create(folder / "absent/tokens.safetensors"), ErrorCode::kIo,
               "absent");
}

// Files that are safetensors but no token files.
TEST(TokenFile, RefusesBrokenColumns) {
  const TempFolder folder;
  const std::string path = folder / "tokens.safetensors";
  const auto write = [&path](std::vector<std::int64_t> starts, std::vector<std::int32_t> ids,
                             std::vector<std::uint8_t> loss) {
    const auto view = [](const auto& values, tensor::DType dtype) {
      return tensor::TensorView{
          dtype, {static_cast<std::int64_t>(values.size())}, std::as_bytes(std::span(values))};
    };
    ASSERT_OK(WriteSafetensors(path,
                               {{"starts", view(starts, tensor::DType::kI64)},
                                {"ids", view(ids, tensor::DType::kI32)},
                                {"loss", view(loss, tensor::DType::kU8)}},
                               {}));
  };
  write({0, 2}, {1, 2}, {1, 1});
  EXPECT_OK(TokenFile::Open(path));
  write({0, 2}, {1, 2}, {1});
  EXPECT_ERROR(TokenFile::Open(path), ErrorCode::kDataCorrupt, "1 loss flags for 2 tokens");
  write({0, 3}, {1, 2}, {1, 1});
  EXPECT_ERROR(TokenFile::Open(path), ErrorCode::kDataCorrupt, "lead from 0");
  write({0, 1, 1, 2}, {1, 2}, {1, 1});
  EXPECT_ERROR(TokenFile::Open(path), ErrorCode::kDataCorrupt, "starts[1]");
  write({0, 2}, {1, -2}, {1, 1});
  EXPECT_ERROR(TokenFile::Open(path), ErrorCode::kDataCorrupt, "id -2");
  ASSERT_OK(WriteSafetensors(path, {}, {{"a", "b"}}));
  EXPECT_ERROR(TokenFile::Open(path), ErrorCode::kDataCorrupt, "tensor 'starts': found none");
}

}  // namespace
}  // namespace metier::format
