#include "format/token_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "mutate.h"
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

// A column of a file as a tensor; borrows the values.
template <class T>
tensor::TensorView View(const std::vector<T>& values, tensor::DType dtype) {
  return {dtype, {static_cast<std::int64_t>(values.size())}, std::as_bytes(std::span(values))};
}

// One token an example, with these judgements.
Status WriteJudged(const std::string& path, const std::vector<Judgement>& judgements,
                   const StringMap& metadata) {
  METIER_ASSIGN(TokenFileWriter writer, TokenFileWriter::Create(path));
  for (const Judgement judgement : judgements) {
    METIER_TRY(writer.Add(std::vector<std::int32_t>{1}, std::vector<std::uint8_t>{1}, judgement));
  }
  return writer.Finish(metadata);
}

TEST(TokenFile, WithoutJudgementsItIsTheFileOfBefore) {
  const TempFolder folder;
  ASSERT_OK(WriteTwo(folder / "written"));
  const std::vector<std::int64_t> starts = {0, 3, 4};
  const std::vector<std::int32_t> ids = {5, 6, 7, 8};
  const std::vector<std::uint8_t> loss = {0, 1, 1, 1};
  ASSERT_OK(WriteSafetensors(folder / "before",
                             {{"starts", View(starts, tensor::DType::kI64)},
                              {"ids", View(ids, tensor::DType::kI32)},
                              {"loss", View(loss, tensor::DType::kU8)}},
                             {{"tokenizer", "abc"}}));
  EXPECT_EQ(test::ReadAll(folder / "written"), test::ReadAll(folder / "before"));
  ASSERT_OK_AND_ASSIGN(const TokenFile file, TokenFile::Open(folder / "before"));
  EXPECT_FALSE(file.has_judgements());
  EXPECT_FALSE(file.paired());
  EXPECT_EQ(file.Judgement(1), Judgement::kNone);
}

TEST(TokenFile, KeepsJudgements) {
  const TempFolder folder;
  ASSERT_OK(WriteJudged(folder / "t", {Judgement::kBad, Judgement::kNone, Judgement::kGood}, {}));
  ASSERT_OK_AND_ASSIGN(const TokenFile file, TokenFile::Open(folder / "t"));
  EXPECT_TRUE(file.has_judgements());
  EXPECT_FALSE(file.paired());
  EXPECT_EQ(file.Judgement(0), Judgement::kBad);
  EXPECT_EQ(file.Judgement(1), Judgement::kNone);
  EXPECT_EQ(file.Judgement(2), Judgement::kGood);
}

TEST(TokenFile, PairsAreWhatTheMetadataSaysAndTheFileHolds) {
  const TempFolder folder;
  const std::string path = folder / "t";
  constexpr auto kGood = Judgement::kGood;
  constexpr auto kBad = Judgement::kBad;
  const StringMap pairs = {{"pairs", "true"}};
  ASSERT_OK(WriteJudged(path, {kGood, kBad, kGood, kBad}, pairs));
  ASSERT_OK_AND_ASSIGN(const TokenFile file, TokenFile::Open(path));
  EXPECT_TRUE(file.paired());
  EXPECT_EQ(file.Judgement(2), kGood);
  ASSERT_OK(WriteJudged(path, {kGood, kBad}, {}));
  ASSERT_OK_AND_ASSIGN(const TokenFile silent, TokenFile::Open(path));
  EXPECT_FALSE(silent.paired()) << "a good and a bad answer need not be to one prompt";
  const std::vector<std::vector<Judgement>> none = {
      {kGood},
      {kGood, kBad, kGood},
      {kBad, kGood},
      {kGood, kBad, kBad, kGood},
      {kGood, kBad, Judgement::kNone, Judgement::kNone},
  };
  for (const auto& judgements : none) {
    EXPECT_ERROR(WriteJudged(path, judgements, pairs), ErrorCode::kInvalidArgument,
                 "expected a good and a bad example by turns");
  }
}

TEST(TokenFile, RefusesBrokenJudgements) {
  const TempFolder folder;
  const std::string path = folder / "tokens.safetensors";
  const std::vector<std::int64_t> starts = {0, 1, 2};
  const std::vector<std::int32_t> ids = {1, 2};
  const std::vector<std::uint8_t> loss = {1, 1};
  const auto open = [&](const tensor::TensorView& judged, const StringMap& metadata) {
    EXPECT_OK(WriteSafetensors(path,
                               {{"starts", View(starts, tensor::DType::kI64)},
                                {"ids", View(ids, tensor::DType::kI32)},
                                {"loss", View(loss, tensor::DType::kU8)},
                                {"judged", judged}},
                               metadata));
    return TokenFile::Open(path);
  };
  const auto flags = [&](const std::vector<std::uint8_t>& judged, const StringMap& metadata) {
    return open(View(judged, tensor::DType::kU8), metadata);
  };
  const auto corrupt = ErrorCode::kDataCorrupt;
  const StringMap pairs = {{"pairs", "true"}};
  EXPECT_OK(flags({1, 2}, pairs));
  EXPECT_ERROR(flags({1, 3}, {}), corrupt, "judged[1]: found 3, expected 0 (none), 1 (good)");
  EXPECT_ERROR(flags({1}, {}), corrupt, "found 1 judgements for 2 examples");
  EXPECT_ERROR(flags({1, 2, 1}, {}), corrupt, "found 3 judgements for 2 examples");
  EXPECT_ERROR(open(View(ids, tensor::DType::kI32), {}), corrupt, "expected U8 [n]");
  EXPECT_ERROR(flags({2, 1}, pairs), corrupt, "says pairs");
  EXPECT_ERROR(flags({1, 0}, pairs), corrupt, "says pairs");
  ASSERT_OK_AND_ASSIGN(const TokenFile zeros, flags({0, 0}, {}));
  EXPECT_FALSE(zeros.has_judgements());
  ASSERT_OK(WriteSafetensors(path,
                             {{"starts", View(starts, tensor::DType::kI64)},
                              {"ids", View(ids, tensor::DType::kI32)},
                              {"loss", View(loss, tensor::DType::kU8)}},
                             pairs));
  EXPECT_ERROR(TokenFile::Open(path), corrupt, "says pairs");
}

// Whatever byte is damaged, what opens is a token file by every rule.
TEST(TokenFile, DamagedFilesAreRefusedOrWhole) {
  const TempFolder folder;
  const std::string path = folder / "t";
  ASSERT_OK(WriteJudged(path, {Judgement::kGood, Judgement::kBad}, StringMap{{"pairs", "true"}}));
  const std::string valid = test::ReadAll(path);
  const auto open = [&](const std::string& bytes) {
    test::WriteAll(path, bytes);
    const auto file = TokenFile::Open(path);
    if (!file.ok()) return false;
    EXPECT_EQ(file->starts().back(), file->tokens());
    for (std::int64_t i = 0; i < file->examples(); ++i) {
      EXPECT_FALSE(file->Ids(i).empty());
      EXPECT_LE(static_cast<int>(file->Judgement(i)), 2);
      EXPECT_TRUE(!file->paired() || static_cast<int>(file->Judgement(i)) == 1 + i % 2);
    }
    return true;
  };
  test::EachTruncation(valid, [&](const std::string& bytes) { EXPECT_FALSE(open(bytes)); });
  int opened = 0;
  test::EachFlippedByte(valid, valid.size(),
                        [&](const std::string& bytes) { opened += open(bytes) ? 1 : 0; });
  EXPECT_GT(opened, 0) << "an id may be any other";
}

}  // namespace
}  // namespace metier::format
