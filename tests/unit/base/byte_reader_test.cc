#include "base/byte_reader.h"

#include <vector>

#include "support/fixtures.h"

namespace metier {
namespace {

std::vector<std::byte> Bytes(std::initializer_list<int> values) {
  std::vector<std::byte> bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

TEST(ByteReader, ReadsLittleEndian) {
  const auto bytes = Bytes({1, 2, 1,    4,    3, 2, 1, 8, 7, 6, 5,    4,    3,   2,  1,
                            0, 0, 0xc0, 0x3f, 0, 0, 0, 0, 0, 0, 0xf8, 0xbf, 'h', 'i'});
  ByteReader in(bytes);
  EXPECT_EQ(in.U8("a").value(), 1);
  EXPECT_EQ(in.U16("b").value(), 0x0102);
  EXPECT_EQ(in.U32("c").value(), 0x01020304U);
  EXPECT_EQ(in.U64("d").value(), 0x0102030405060708ULL);
  EXPECT_EQ(in.F32("e").value(), 1.5F);
  EXPECT_EQ(in.F64("f").value(), -1.5);
  EXPECT_EQ(in.Text(2, "g").value(), "hi");
  EXPECT_EQ(in.remaining(), 0U);
}

TEST(ByteReader, ErrorsNameTheFieldAndThePlaceAndMoveNothing) {
  const auto bytes = Bytes({1, 2, 3});
  ByteReader in(bytes);
  ASSERT_OK(in.U8("first"));
  EXPECT_ERROR(in.U32("tensor count"), ErrorCode::kDataCorrupt,
               "tensor count at byte 1: needs 4 bytes, 2 are left");
  EXPECT_ERROR(in.Bytes(UINT64_MAX, "name"), ErrorCode::kDataCorrupt, "name at byte 1");
  EXPECT_EQ(in.offset(), 1U);
  EXPECT_EQ(in.U16("rest").value(), 0x0302);
  EXPECT_OK(in.Bytes(0, "nothing"));
}

}  // namespace
}  // namespace metier
