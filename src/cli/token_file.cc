#include "cli/token_file.h"

#include <fmt/format.h>

#include "base/json.h"
#include "recipe/fields.h"

namespace metier::cli {
namespace {

Result<Json> Choose(const Json& document, const std::string& path, const std::string& name) {
  if (!document.is_object()) {
    if (name.empty()) return document;
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("'{}' holds one list; --sequence '{}' names none", path, name));
  }
  std::string known;
  for (const auto& [key, value] : document.items()) {
    if (key == name) return value;
    known += (known.empty() ? "" : ", ") + key;
  }
  return Error(
      ErrorCode::kInvalidArgument,
      fmt::format("'{}': found sequences {}, expected --sequence with one of them", path, known));
}

}  // namespace

Result<std::vector<model::TokenId>> ReadTokenFile(const std::string& path,
                                                  const std::string& name) {
  METIER_ASSIGN(const Json document, ReadJsonFile(path));
  METIER_ASSIGN(const Json list, Choose(document, path, name));
  std::vector<model::TokenId> tokens;
  const auto range = recipe::Constraint().AtLeast(0).AtMost(INT32_MAX);
  METIER_TRY(recipe::ReadValue(list, fmt::format("'{}'", path), range, tokens));
  if (tokens.empty()) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("'{}': found no tokens, expected a list of at least one", path));
  }
  return tokens;
}

}  // namespace metier::cli
