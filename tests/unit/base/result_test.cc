#include "base/result.h"

#include <memory>

#include "support/fixtures.h"

namespace metier {
namespace {

Result<int> Half(int n) {
  if (n % 2 != 0) return Error(ErrorCode::kInvalidArgument, "odd");
  return n / 2;
}

Result<int> Quarter(int n) {
  METIER_ASSIGN(const int half, Half(n));
  METIER_ASSIGN(const int quarter, Half(half));
  return quarter;
}

Status BothEven(int a, int b) {
  METIER_TRY(Half(a));
  METIER_TRY(Half(b));
  return Ok();
}

TEST(Result, CarriesValueOrError) {
  ASSERT_OK(Half(8));
  EXPECT_EQ(*Half(8), 4);
  EXPECT_ERROR(Half(7), ErrorCode::kInvalidArgument, "odd");
}

TEST(Result, MacrosPropagateTheFirstError) {
  EXPECT_EQ(Quarter(12).value(), 3);
  EXPECT_FALSE(Quarter(6).ok());
  EXPECT_OK(BothEven(2, 4));
  EXPECT_FALSE(BothEven(2, 3).ok());
  EXPECT_FALSE(BothEven(1, 2).ok());
}

TEST(Result, MovesWhatCannotBeCopied) {
  Result<std::unique_ptr<int>> owned = std::make_unique<int>(5);
  const std::unique_ptr<int> taken = std::move(owned).value();
  EXPECT_EQ(*taken, 5);
}

TEST(Result, ContextIsAddedOutward) {
  const Error error = Error(ErrorCode::kIo, "no space").With("header").With("load 'm.gguf'");
  EXPECT_EQ(error.message(), "load 'm.gguf': header: no space");
  EXPECT_EQ(error.code(), ErrorCode::kIo);
}

TEST(Result, EveryCodeHasAName) {
  EXPECT_EQ(ErrorCodeName(ErrorCode::kInvalidArgument), "invalid argument");
  EXPECT_EQ(ErrorCodeName(ErrorCode::kNotFound), "not found");
  EXPECT_EQ(ErrorCodeName(ErrorCode::kDataCorrupt), "data corrupt");
  EXPECT_EQ(ErrorCodeName(ErrorCode::kUnsupported), "unsupported");
  EXPECT_EQ(ErrorCodeName(ErrorCode::kResourceExhausted), "resource exhausted");
  EXPECT_EQ(ErrorCodeName(ErrorCode::kIo), "input/output error");
}

TEST(ResultDeathTest, AskingAnErrorForItsValueIsABugOfTheCaller) {
  EXPECT_DEATH(static_cast<void>(Half(7).value()), "internal error: odd");
  EXPECT_DEATH(static_cast<void>(Half(8).error()), "error\\(\\) of a value");
}

}  // namespace
}  // namespace metier
