#include "base/error_json.h"

#include <string>

namespace metier {
namespace {

constexpr ErrorCode kCodes[] = {ErrorCode::kInvalidArgument,   ErrorCode::kNotFound,
                                ErrorCode::kDataCorrupt,       ErrorCode::kUnsupported,
                                ErrorCode::kResourceExhausted, ErrorCode::kIo};

std::string TextOf(const Json& document, const char* key) {
  if (!document.is_object() || !document.contains(key) || !document[key].is_string()) return "";
  return document[key].get<std::string>();
}

}  // namespace

Json ErrorToJson(const Error& error) {
  return {{"code", std::string(ErrorCodeName(error.code()))}, {"message", error.message()}};
}

Error ErrorFromJson(const Json& document) {
  const std::string name = TextOf(document, "code");
  const std::string message = TextOf(document, "message");
  ErrorCode code = ErrorCode::kIo;
  for (const ErrorCode known : kCodes)
    if (name == ErrorCodeName(known)) code = known;
  return {code, message.empty() ? "unknown error" : message};
}

}  // namespace metier
