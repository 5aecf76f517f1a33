#include "base/json.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>
#include <unordered_set>
#include <utility>

#include "base/file.h"

namespace metier {
namespace {

// Builds the document from parser events. nlohmann's own builder looks every key up in the object
// so far, which is quadratic for ordered objects: a 150 k vocabulary would take minutes. This one
// appends, and finds duplicates by hash.
class Builder : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(const Limits& limits) : limits_(limits) {}

  bool null() override { return Add(Json(nullptr)); }
  bool boolean(bool value) override { return Add(Json(value)); }
  bool number_integer(number_integer_t value) override { return Add(Json(value)); }
  bool number_unsigned(number_unsigned_t value) override { return Add(Json(value)); }
  bool number_float(number_float_t value, const string_t&) override { return Add(Json(value)); }
  bool string(string_t& value) override { return Add(Json(std::move(value))); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return Open(Json::object()); }
  bool start_array(std::size_t) override { return Open(Json::array()); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }

  bool key(string_t& value) override {
    Frame& frame = stack_.back();
    if (!frame.keys.insert(value).second) {
      error_.emplace(ErrorCode::kDataCorrupt,
                     fmt::format("JSON: key \"{}\" stands twice in one object", value));
      return false;
    }
    frame.key = std::move(value);
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& why) override {
    if (!error_)
      error_.emplace(ErrorCode::kDataCorrupt,
                     fmt::format("JSON at byte {}: {}", position, Reason(why.what())));
    return false;
  }

  Result<Json> Finish() && {
    if (error_) return *std::move(error_);
    return std::move(root_);
  }

 private:
  struct Frame {
    Json value;
    std::string key;  // of the value that comes next, for objects
    std::unordered_set<std::string> keys;
  };

  // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ..." without
  // the bracket.
  static std::string Reason(std::string_view text) {
    if (const auto end = text.find("] "); end != std::string_view::npos)
      text.remove_prefix(end + 2);
    return std::string(text);
  }

  bool Open(Json container) {
    if (static_cast<int>(stack_.size()) >= limits_.max_json_depth) {
      error_.emplace(
          ErrorCode::kResourceExhausted,
          fmt::format("JSON: nested deeper than the limit of {}", limits_.max_json_depth));
      return false;
    }
    stack_.push_back({std::move(container), {}, {}});
    return true;
  }

  bool Close() {
    Json value = std::move(stack_.back().value);
    stack_.pop_back();
    return Add(std::move(value));
  }

  bool Add(Json value) {
    if (stack_.empty()) {
      root_ = std::move(value);
      return true;
    }
    Frame& frame = stack_.back();
    if (frame.value.is_array()) {
      frame.value.get_ref<Json::array_t&>().push_back(std::move(value));
    } else {
      auto& object = frame.value.get_ref<Json::object_t&>();
      object.Json::object_t::Container::emplace_back(std::move(frame.key), std::move(value));
    }
    return true;
  }

  const Limits& limits_;
  std::vector<Frame> stack_;
  Json root_;
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
    const double number = value.get<double>();
    out += std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity";
  } else if (value.is_number_float()) {
    out += PythonFloat(value.get<double>());
  } else {
    out += DumpCompact(value);
  }
}

}  // namespace

std::string PythonFloat(double value) {
  std::array<char, 32> buffer{};
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
  Builder builder(limits);
  Json::sax_parse(text, &builder);
  return std::move(builder).Finish();
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
