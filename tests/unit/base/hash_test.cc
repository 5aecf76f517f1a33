#include "base/hash.h"

#include "support/fixtures.h"

namespace metier {
namespace {

// FIPS 180-2, appendix B, and the empty message.
TEST(Sha256, KnowsThePublishedDigests) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Sha256Hex(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesMakeTheWhole) {
  const std::string text(1000, 'q');
  for (const std::size_t cut : {0U, 1U, 63U, 64U, 65U, 999U, 1000U}) {
    Sha256 hash;
    hash.Add(std::string_view(text).substr(0, cut));
    hash.Add(std::as_bytes(std::span(text).subspan(cut)));
    EXPECT_EQ(std::move(hash).Hex(), Sha256Hex(text)) << cut;
  }
}

TEST(Sha256, OfAFile) {
  const test::TempFolder folder;
  test::WriteAll(folder / "a", "abc");
  test::WriteAll(folder / "empty", "");
  EXPECT_EQ(Sha256OfFile(folder / "a").value(), Sha256Hex("abc"));
  EXPECT_EQ(Sha256OfFile(folder / "empty").value(), Sha256Hex(""));
  EXPECT_ERROR(Sha256OfFile(folder / "none"), ErrorCode::kNotFound, "none");
}

}  // namespace
}  // namespace metier
