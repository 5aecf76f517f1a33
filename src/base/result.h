// base/result.h - values that may be errors, for everything the outside world can get wrong.
//
// A message says: the thing, what was found, what was expected, and the remedy where one is known.
//
//   Result<Header> ReadHeader(ByteReader& in) {
//     METIER_ASSIGN(const std::uint64_t count, in.U64("tensor count"));
//     METIER_TRY(CheckCount(count));
//     return Header{count};
//   }
//
// Why not std::expected: libstdc++ 12 has it only in C++23 mode, where clang-tidy 14 cannot follow.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace metier {

// Mapped to exit codes in cli/ and to HTTP status in serve/, each in one place.
enum class ErrorCode {
  kInvalidArgument,    // the caller asked for something that makes no sense
  kNotFound,           // a file, tensor, key or name is absent
  kDataCorrupt,        // bytes that are not what their format says
  kUnsupported,        // well-formed, but not something we do; refused by name
  kResourceExhausted,  // more was asked for than a limit of ours allows
  kIo,                 // the machine refused: permission, full disk, no memory, no such plug-in
};

// The code's name as it is printed and logged, e.g. "data corrupt".
std::string_view ErrorCodeName(ErrorCode code);

class [[nodiscard]] Error {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // Adds outer context in front: "load 'm.gguf': header: ...".
  Error&& With(std::string_view context) && {
    message_.insert(0, ": ").insert(0, context);
    return std::move(*this);
  }

 private:
  ErrorCode code_;
  std::string message_;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return value_.has_value(); }
  explicit operator bool() const { return ok(); }

  // Require ok(): asking an error for its value is a bug of the caller.
  T& value() & {
    METIER_CHECK(ok(), error_ ? error_->message().c_str() : "no value");
    return *value_;
  }
  const T& value() const& {
    METIER_CHECK(ok(), error_ ? error_->message().c_str() : "no value");
    return *value_;
  }
  T&& value() && {
    METIER_CHECK(ok(), error_ ? error_->message().c_str() : "no value");
    return std::move(*value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // Requires !ok().
  const Error& error() const& {
    METIER_CHECK(!ok(), "error() of a value");
    return *error_;
  }
  Error&& error() && {
    METIER_CHECK(!ok(), "error() of a value");
    return std::move(*error_);
  }

 private:
  std::optional<T> value_;
  std::optional<Error> error_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }

  // Requires !ok().
  const Error& error() const& {
    METIER_CHECK(!ok(), "error() of a success");
    return *error_;
  }
  Error&& error() && {
    METIER_CHECK(!ok(), "error() of a success");
    return std::move(*error_);
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

inline Status Ok() { return {}; }

}  // namespace metier

#define METIER_CONCAT_INNER(a, b) a##b
#define METIER_CONCAT(a, b) METIER_CONCAT_INNER(a, b)

// Returns the error of a Status or Result from the enclosing function.
#define METIER_TRY(expression)                                                \
  do {                                                                        \
    auto metier_try_result = (expression);                                    \
    if (!metier_try_result.ok()) return std::move(metier_try_result).error(); \
  } while (false)

// METIER_ASSIGN(const auto x, F()): declares x as the value of F(), or returns F()'s error.
#define METIER_ASSIGN(declaration, expression)                         \
  auto METIER_CONCAT(metier_result_, __LINE__) = (expression);         \
  if (!METIER_CONCAT(metier_result_, __LINE__).ok())                   \
    return std::move(METIER_CONCAT(metier_result_, __LINE__)).error(); \
  declaration = std::move(METIER_CONCAT(metier_result_, __LINE__)).value()
