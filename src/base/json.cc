#include "base/json.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "base/file.h"
#include "base/json_builder.h"
#include "base/utf8.h"

namespace metier {
namespace {

// The parser's events, handed to the builder.
class JsonReader : public nlohmann::json_sax<Json> {
 public:
  explicit JsonReader(const Limits& limits) : builder_(limits) {}

  bool null() override { return Add(Json(nullptr)); }
  bool boolean(bool value) override { return Add(Json(value)); }
  bool number_integer(number_integer_t value) override { return Add(Json(value)); }
  bool number_unsigned(number_unsigned_t value) override { return Add(Json(value)); }
  bool number_float(number_float_t value, const string_t&) override { return Add(Json(value)); }
  bool string(string_t& value) override { return Add(Json(std::move(value))); }
  bool binary(binary_t&) override { return false; }  // JSON has none
  bool start_object(std::size_t) override { return Keep(builder_.Open(Json::object())); }
  bool start_array(std::size_t) override { return Keep(builder_.Open(Json::array())); }
  bool end_object() override { return Add(builder_.Close()); }
  bool end_array() override { return Add(builder_.Close()); }
  bool key(string_t& value) override { return Keep(builder_.Key(std::move(value))); }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& why) override {
    return Keep(Error(ErrorCode::kDataCorrupt, Reason(why.what())),
                fmt::format("JSON at byte {}", position));
  }

  Result<Json> Finish() && {
    if (error_) return *std::move(error_);
    return std::move(builder_).Take();
  }

 private:
  // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ..." without
  // the bracket. The rest quotes the token that was read last, which may be as long as the file.
  static std::string Reason(std::string_view text) {
    constexpr std::size_t kLongest = 300;
    if (const auto end = text.find("] "); end != std::string_view::npos)
      text.remove_prefix(end + 2);
    return Excerpt(text, kLongest);
  }

  bool Add(Json value) {
    builder_.Add(std::move(value));
    return true;
  }

  bool Keep(Status status, std::string_view where = "JSON") {
    if (status.ok()) return true;
    if (!error_) error_ = std::move(status).error().With(where);
    return false;
  }

  JsonBuilder builder_;
  std::optional<Error> error_;
};

void DumpPythonTo(const Json& value, std::string& out) {
  if (value.is_object()) {
    out += '{';
    const char* separator = "";
    for (const auto& [key, item] : value.items()) {
      out += separator;
      out += DumpCompact(Json(key));
      out += ": ";
      DumpPythonTo(item, out);
      separator = ", ";
    }
    out += '}';
  } else if (value.is_array()) {
    out += '[';
    const char* separator = "";
    for (const Json& item : value) {
      out += separator;
      DumpPythonTo(item, out);
      separator = ", ";
    }
    out += ']';
  } else if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    const auto number = value.get<double>();
    out += std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity";
  } else if (value.is_number_float()) {
    out += PythonFloat(value.get<double>());
  } else {
    out += DumpCompact(value);
  }
}

}  // namespace

std::string PythonFloat(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 32> buffer{};  // the longest: -0.00012345678901234567
  const double magnitude = std::fabs(value);
  // repr(): shortest digits that read back; scientific from 1e16 on and below 1e-4.
  const bool scientific = magnitude != 0 && (magnitude >= 1e16 || magnitude < 1e-4);
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                    scientific ? std::chars_format::scientific : std::chars_format::fixed);
  std::string text(buffer.data(), end.ptr);
  if (!scientific && text.find('.') == std::string::npos) text += ".0";
  return text;
}

Result<Json> ParseJson(std::string_view text, const Limits& limits) {
  if (text.size() > limits.max_json_bytes) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("JSON: {} bytes, limit {}", text.size(), limits.max_json_bytes));
  }
  JsonReader reader(limits);
  Json::sax_parse(text, &reader);
  return std::move(reader).Finish();
}

Result<Json> ReadJsonFile(const std::string& path, const Limits& limits) {
  METIER_ASSIGN(const std::string text, ReadFile(path, limits.max_json_bytes));
  auto parsed = ParseJson(text, limits);
  if (!parsed.ok()) return std::move(parsed).error().With("'" + path + "'");
  return parsed;
}

std::string DumpPython(const Json& value) {
  std::string out;
  DumpPythonTo(value, out);
  return out;
}

std::string DumpCompact(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string DumpPretty(const Json& value) {
  return value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace metier
