#include "base/base64.h"

#include <gtest/gtest.h>

#include <string>

#include "support/fixtures.h"

namespace metier {
namespace {

// RFC 4648, section 10.
TEST(Base64, TheVectorsOfTheRfc) {
  const std::pair<const char*, const char*> cases[] = {{"", ""},
                                                       {"Zg==", "f"},
                                                       {"Zm8=", "fo"},
                                                       {"Zm9v", "foo"},
                                                       {"Zm9vYg==", "foob"},
                                                       {"Zm9vYmE=", "fooba"},
                                                       {"Zm9vYmFy", "foobar"}};
  for (const auto& item : cases) {
    ASSERT_OK_AND_ASSIGN(const std::string bytes, DecodeBase64(item.first));
    EXPECT_EQ(bytes, item.second);
  }
  ASSERT_OK_AND_ASSIGN(const std::string high, DecodeBase64("+/8A"));
  EXPECT_EQ(high, std::string("\xFB\xFF\x00", 3));
}

TEST(Base64, RefusesWhatIsNot) {
  EXPECT_ERROR(DecodeBase64("Zg="), ErrorCode::kDataCorrupt, "multiple of 4");
  EXPECT_ERROR(DecodeBase64("Zm9!"), ErrorCode::kDataCorrupt, "character 3");
  EXPECT_ERROR(DecodeBase64("Zg==Zm9v"), ErrorCode::kDataCorrupt, "character 2");
  EXPECT_ERROR(DecodeBase64("===="), ErrorCode::kDataCorrupt, "character 0");
}

}  // namespace
}  // namespace metier
