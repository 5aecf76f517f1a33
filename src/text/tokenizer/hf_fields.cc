#include "text/tokenizer/hf_fields.h"

#include <fmt/format.h>

#include <utility>

#include "text/tokenizer/unicode.h"

namespace metier::text {

Result<HfObject> HfObject::From(const Json& json, std::string where) {
  if (!json.is_object()) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("{}: {}, expected an object", where, json.type_name()));
  }
  return HfObject(json, std::move(where));
}

const Json* HfObject::Find(std::string_view key) const {
  const auto found = json_->find(key);
  return found == json_->end() || found->is_null() ? nullptr : &*found;
}

Error HfObject::Wrong(std::string_view key, std::string_view expected) const {
  const Json* value = Find(key);
  return Error(ErrorCode::kDataCorrupt,
               fmt::format("{}.{}: {}, expected {}", where_, key,
                           value == nullptr ? "missing" : value->type_name(), expected));
}

Error HfObject::UnknownType(std::string_view type, std::string_view known) const {
  return Error(ErrorCode::kUnsupported,
               fmt::format("{}: type '{}' is not supported, only {}", where_, type, known));
}

Result<std::string> HfObject::Text(std::string_view key) const {
  const Json* value = Find(key);
  if (value == nullptr || !value->is_string()) return Wrong(key, "a string");
  const auto& text = value->get_ref<const std::string&>();
  METIER_TRY(CheckUtf8(text, where_ + "." + std::string(key)));
  return text;
}

Result<std::string> HfObject::TextOr(std::string_view key, std::string fallback) const {
  return Find(key) == nullptr ? std::move(fallback) : Text(key);
}

Result<std::optional<bool>> HfObject::MaybeBool(std::string_view key) const {
  const Json* value = Find(key);
  if (value == nullptr) return std::optional<bool>();
  if (!value->is_boolean()) return Wrong(key, "true or false");
  return std::optional<bool>(value->get<bool>());
}

Result<bool> HfObject::BoolOr(std::string_view key, bool fallback) const {
  METIER_ASSIGN(const std::optional<bool> value, MaybeBool(key));
  return value.value_or(fallback);
}

Result<std::int64_t> HfObject::IntOr(std::string_view key, std::int64_t fallback) const {
  const Json* value = Find(key);
  if (value == nullptr) return fallback;
  constexpr std::int64_t kMost = std::int64_t{1} << 40;
  if (!value->is_number_integer()) return Wrong(key, "a whole number");
  if (value->is_number_unsigned() &&
      value->get<std::uint64_t>() > static_cast<std::uint64_t>(kMost)) {
    return Wrong(key, fmt::format("a whole number up to {}", kMost));
  }
  const auto number = value->get<std::int64_t>();
  if (number < 0) return Wrong(key, "a number that is not negative");
  return number;
}

Result<std::uint32_t> HfObject::Char(std::string_view key) const {
  METIER_ASSIGN(const std::string text, Text(key));
  if (text.empty()) return Wrong(key, "one character");
  const DecodedChar c = DecodeChar(text, 0);
  if (c.bytes != text.size()) return Wrong(key, "one character");
  return c.code;
}

Result<Regex> HfObject::Pattern(std::string_view key) const {
  const Json* value = Find(key);
  if (value == nullptr) return Wrong(key, "{\"String\": ...} or {\"Regex\": ...}");
  METIER_ASSIGN(const HfObject pattern, From(*value, where_ + "." + std::string(key)));
  if (pattern.Find("String") != nullptr) {
    METIER_ASSIGN(const std::string text, pattern.Text("String"));
    return Regex::Literal(text);
  }
  METIER_ASSIGN(const std::string text, pattern.Text("Regex"));
  auto regex = Regex::Compile(text);
  if (!regex.ok()) return std::move(regex).error().With(pattern.where());
  return regex;
}

Result<std::vector<HfObject>> HfObject::Objects(std::string_view key) const {
  const Json* value = Find(key);
  if (value == nullptr || !value->is_array()) return Wrong(key, "an array of objects");
  std::vector<HfObject> objects;
  for (std::size_t i = 0; i < value->size(); ++i) {
    METIER_ASSIGN(HfObject object, From((*value)[i], fmt::format("{}.{}[{}]", where_, key, i)));
    objects.push_back(std::move(object));
  }
  return objects;
}

}  // namespace metier::text
