// text/tokenizer/roles.h - which tokens begin and end texts, after the files beside tokenizer.json.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace metier::text {

// What tokenizer_config.json (special_tokens_map.json in its place) says; "" where it is silent.
struct RoleNames {
  std::string bos;
  std::string eos;
  std::string pad;
  std::string unk;
  std::string tokenizer_class;
  std::optional<bool> add_bos;
  std::optional<bool> add_eos;
};

// `config` is the parsed file or null. kDataCorrupt: a field of the wrong type.
Result<RoleNames> ParseRoleNames(const Json& config);

// Copies into `config` what it lacks and special_tokens_map.json has.
void FillRoles(Json& config, const Json& special_tokens_map);

}  // namespace metier::text
