#include "format/npy.h"

#include <cstring>

#include "support/fixtures.h"

namespace metier::format {
namespace {

using test::ReadAll;
using test::TempFolder;

TEST(Npy, BytesAreThoseOfTheFormat) {
  const TempFolder folder;
  const std::string path = folder / "a.npy";
  ASSERT_OK_AND_ASSIGN(NpyWriter writer, NpyWriter::Create(path, 2, 3));
  const std::vector<float> first = {1, 2, 3};
  const std::vector<float> second = {-1, 0.5, 1e30F};
  ASSERT_OK(writer.Write(first));
  ASSERT_OK(writer.Write(second));
  ASSERT_OK(writer.Commit());
  const std::string bytes = ReadAll(path);
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  const std::size_t length =
      static_cast<unsigned char>(bytes[8]) + 256U * static_cast<unsigned char>(bytes[9]);
  EXPECT_EQ((10 + length) % 64, 0U);
  const std::string header = bytes.substr(10, length);
  EXPECT_THAT(header,
              ::testing::StartsWith("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"));
  EXPECT_EQ(header.back(), '\n');
  ASSERT_EQ(bytes.size(), 10 + length + 6 * sizeof(float));
  float values[6];
  std::memcpy(values, bytes.data() + 10 + length, sizeof values);
  EXPECT_THAT(values, ::testing::ElementsAre(1, 2, 3, -1, 0.5F, 1e30F));
}

TEST(Npy, WithoutEveryRowNothingIsLeft) {
  const TempFolder folder;
  const std::string path = folder / "a.npy";
  {
    ASSERT_OK_AND_ASSIGN(NpyWriter writer, NpyWriter::Create(path, 2, 1));
    const float one = 1;
    ASSERT_OK(writer.Write({&one, 1}));
    EXPECT_ERROR(writer.Commit(), ErrorCode::kInvalidArgument, "1 rows written, 2 announced");
  }
  EXPECT_FALSE(MappedFile::Open(path).ok());
  EXPECT_ERROR(NpyWriter::Create(path, -1, 1), ErrorCode::kInvalidArgument, "[-1, 1]");
}

}  // namespace
}  // namespace metier::format
