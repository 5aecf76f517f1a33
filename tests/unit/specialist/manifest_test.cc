#include "specialist/manifest.h"

#include <filesystem>

#include "support/fixtures.h"

namespace metier::specialist {
namespace {

class ManifestFiles : public ::testing::Test {
 protected:
  ManifestFiles() {
    std::filesystem::create_directories(folder_ / "base");
    test::WriteAll(folder_ / "base/config.json", "{}");
    test::WriteAll(folder_ / "tools.json", "[]");
    manifest_.name = "test: one";
    manifest_.base = "base";
    manifest_.tools = "tools.json";
    manifest_.scores = {{"a.b", {{"x", 1.5}}}};
  }
  std::string Text() { return test::ReadAll(folder_ / kManifestName); }
  void Replace(const std::string& from, const std::string& to) {
    std::string text = Text();
    const auto at = text.find(from);
    ASSERT_NE(at, std::string::npos) << text;
    test::WriteAll(folder_ / kManifestName, text.replace(at, from.size(), to));
  }

  test::TempFolder folder_;
  Manifest manifest_;
};

TEST_F(ManifestFiles, WrittenAndVerified) {
  EXPECT_FALSE(IsSpecialist(folder_.path()));
  ASSERT_OK(WriteManifest(folder_.path(), manifest_));
  EXPECT_TRUE(IsSpecialist(folder_.path()));
  ASSERT_OK_AND_ASSIGN(const Manifest read, VerifySpecialist(folder_.path()));
  EXPECT_EQ(read.name, "test: one");
  EXPECT_EQ(read.files.size(), 2U);
  EXPECT_EQ(DumpCompact(read.scores), R"({"a.b":{"x":1.5}})");
}

TEST_F(ManifestFiles, AnAlteredFileIsRefusedWithBothHashes) {
  ASSERT_OK(WriteManifest(folder_.path(), manifest_));
  test::WriteAll(folder_ / "tools.json", "[ ]");
  EXPECT_ERROR(VerifySpecialist(folder_.path()), ErrorCode::kDataCorrupt,
               "tools.json' is not what was packaged");
  std::filesystem::remove(folder_ / "tools.json");
  EXPECT_ERROR(VerifySpecialist(folder_.path()), ErrorCode::kNotFound, "tools.json");
}

TEST_F(ManifestFiles, PathsThatLeaveTheFolderAreRefused) {
  ASSERT_OK(WriteManifest(folder_.path(), manifest_));
  Replace("base: base", "base: ../base");
  EXPECT_ERROR(VerifySpecialist(folder_.path()), ErrorCode::kDataCorrupt,
               "leaves the specialist's folder");
  Replace("base: ../base", "base: /etc");
  EXPECT_ERROR(VerifySpecialist(folder_.path()), ErrorCode::kDataCorrupt,
               "leaves the specialist's folder");
}

TEST_F(ManifestFiles, WhatIsNamedMustBeHashed) {
  ASSERT_OK(WriteManifest(folder_.path(), manifest_));
  Replace("tools: tools.json", "tools: other.json");
  EXPECT_ERROR(VerifySpecialist(folder_.path()), ErrorCode::kDataCorrupt, "has no hash");
}

TEST_F(ManifestFiles, NewerFormatsAreRefused) {
  ASSERT_OK(WriteManifest(folder_.path(), manifest_));
  Replace("format: 1", "format: 2");
  EXPECT_ERROR(VerifySpecialist(folder_.path()), ErrorCode::kUnsupported, "update metier");
}

}  // namespace
}  // namespace metier::specialist
