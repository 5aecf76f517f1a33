// text/tokenizer/hf_fields.h - one object of tokenizer.json, read key by key; errors say where.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "text/tokenizer/regex.h"

namespace metier::text {

// Borrows the document.
class HfObject {
 public:
  // kDataCorrupt: not an object. `where`: "pre_tokenizer.pretokenizers[0]".
  static Result<HfObject> From(const Json& json, std::string where);

  const std::string& where() const { return where_; }
  // The member, or null when it is absent or null itself.
  const Json* Find(std::string_view key) const;

  // kDataCorrupt: absent (without a fallback) or of another type.
  Result<std::string> Text(std::string_view key) const;
  Result<std::string> TextOr(std::string_view key, std::string fallback) const;
  Result<bool> BoolOr(std::string_view key, bool fallback) const;
  Result<std::optional<bool>> MaybeBool(std::string_view key) const;
  Result<std::int64_t> IntOr(std::string_view key, std::int64_t fallback) const;
  // A string of exactly one character.
  Result<std::uint32_t> Char(std::string_view key) const;
  // {"String": "..."} or {"Regex": "..."}.
  Result<Regex> Pattern(std::string_view key) const;
  // The objects of an array.
  Result<std::vector<HfObject>> Objects(std::string_view key) const;

  Error Wrong(std::string_view key, std::string_view expected) const;
  // A component whose name we do not know.
  Error UnknownType(std::string_view type, std::string_view known) const;

 private:
  HfObject(const Json& json, std::string where) : json_(&json), where_(std::move(where)) {}
  const Json* json_;
  std::string where_;
};

}  // namespace metier::text
