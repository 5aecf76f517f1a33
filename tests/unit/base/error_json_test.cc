// Errors across a border.
#include "base/error_json.h"

#include "support/fixtures.h"

namespace metier {
namespace {

TEST(ErrorJson, KeepsCodeAndMessage) {
  for (const ErrorCode code :
       {ErrorCode::kInvalidArgument, ErrorCode::kNotFound, ErrorCode::kDataCorrupt,
        ErrorCode::kUnsupported, ErrorCode::kResourceExhausted, ErrorCode::kIo}) {
    const Error back = ErrorFromJson(ErrorToJson(Error(code, "what went wrong")));
    EXPECT_EQ(back.code(), code);
    EXPECT_EQ(back.message(), "what went wrong");
  }
}

TEST(ErrorJson, TakesWhatIsNoErrorForOne) {
  for (const Json& document :
       {Json(), Json(3), Json::array(), Json{{"code", 3}}, Json{{"code", "weather"}}}) {
    const Error error = ErrorFromJson(document);
    EXPECT_EQ(error.code(), ErrorCode::kIo);
    EXPECT_EQ(error.message(), "unknown error");
  }
  EXPECT_EQ(ErrorFromJson({{"code", "not found"}}).code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace metier
