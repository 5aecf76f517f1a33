#include "text/tokenizer/roles.h"

#include "text/tokenizer/hf_fields.h"

namespace metier::text {
namespace {

constexpr const char* kRoleKeys[] = {"bos_token", "eos_token", "pad_token", "unk_token",
                                     "cls_token", "sep_token", "mask_token"};

// "<s>", or {"content": "<s>", ...}.
Result<std::string> TokenText(const HfObject& config, std::string_view key) {
  const Json* value = config.Find(key);
  if (value == nullptr) return std::string();
  if (!value->is_object()) return config.Text(key);
  METIER_ASSIGN(const HfObject token,
                HfObject::From(*value, "tokenizer_config." + std::string(key)));
  return token.Text("content");
}

}  // namespace

Result<RoleNames> ParseRoleNames(const Json& json) {
  RoleNames names;
  if (json.is_null()) return names;
  METIER_ASSIGN(const HfObject config, HfObject::From(json, "tokenizer_config"));
  METIER_ASSIGN(names.bos, TokenText(config, "bos_token"));
  METIER_ASSIGN(names.eos, TokenText(config, "eos_token"));
  METIER_ASSIGN(names.pad, TokenText(config, "pad_token"));
  METIER_ASSIGN(names.unk, TokenText(config, "unk_token"));
  METIER_ASSIGN(names.tokenizer_class, config.TextOr("tokenizer_class", ""));
  METIER_ASSIGN(names.add_bos, config.MaybeBool("add_bos_token"));
  METIER_ASSIGN(names.add_eos, config.MaybeBool("add_eos_token"));
  return names;
}

void FillRoles(Json& config, const Json& special_tokens_map) {
  if (!special_tokens_map.is_object()) return;
  if (config.is_null()) config = Json::object();
  if (!config.is_object()) return;
  for (const char* key : kRoleKeys) {
    const auto have = config.find(key);
    const auto other = special_tokens_map.find(key);
    if (other == special_tokens_map.end() || (have != config.end() && !have->is_null())) continue;
    config[key] = *other;
  }
}

}  // namespace metier::text
