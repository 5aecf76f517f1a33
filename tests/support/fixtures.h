// tests/support/fixtures.h - temporary folders, the shared fixtures, and expectations on Results.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace metier::test {

// The folder of shared fixtures and data: METIER_SHARED, by default ../shared beside the checkout.
// Nothing when absent.
std::optional<std::string> SharedFolder();

// The checkout's own folder, for files that ship with the project.
std::string SourceFolder();

// A new empty folder, removed with this object.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::string ReadAll(const std::string& path);
void WriteAll(const std::string& path, const std::string& text);

// Unpacks FILE.zst, and FILE.tar.zst into `folder`.
std::string ReadZstd(const std::string& path);
void UnpackTarZstd(const std::string& path, const std::string& folder);

// Raw little-endian float32.
std::vector<float> ReadF32(const std::string& path);

}  // namespace metier::test

// Skips a test that needs the shared fixtures where they are absent.
#define METIER_NEEDS_SHARED(variable)                                                         \
  const auto metier_shared_folder = ::metier::test::SharedFolder();                           \
  if (!metier_shared_folder) GTEST_SKIP() << "no shared fixtures (METIER_SHARED, ../shared)"; \
  const std::string variable = *metier_shared_folder

#define ASSERT_OK(expression)                                             \
  do {                                                                    \
    const auto& metier_checked = (expression);                            \
    ASSERT_TRUE(metier_checked.ok()) << metier_checked.error().message(); \
  } while (false)

#define EXPECT_OK(expression)                                             \
  do {                                                                    \
    const auto& metier_checked = (expression);                            \
    EXPECT_TRUE(metier_checked.ok()) << metier_checked.error().message(); \
  } while (false)

// ASSERT_OK_AND_ASSIGN(auto x, F());
#define ASSERT_OK_AND_ASSIGN(declaration, expression)             \
  auto METIER_CONCAT(metier_test_, __LINE__) = (expression);      \
  ASSERT_TRUE(METIER_CONCAT(metier_test_, __LINE__).ok())         \
      << METIER_CONCAT(metier_test_, __LINE__).error().message(); \
  declaration = std::move(METIER_CONCAT(metier_test_, __LINE__)).value()

// The expression fails with this code and a message that contains the text.
#define EXPECT_ERROR(expression, expected_code, text)                                            \
  do {                                                                                           \
    const auto& metier_failed = (expression);                                                    \
    ASSERT_FALSE(metier_failed.ok()) << "expected an error about: " << (text);                   \
    EXPECT_EQ(metier_failed.error().code(), (expected_code)) << metier_failed.error().message(); \
    EXPECT_THAT(metier_failed.error().message(), ::testing::HasSubstr(text));                    \
  } while (false)
