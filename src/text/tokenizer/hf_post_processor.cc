#include <fmt/format.h>

#include <algorithm>

#include "text/tokenizer/hf_components.h"

namespace metier::text {
namespace {

Result<TokenId> Id(const Json& json, const std::string& where) {
  if (!json.is_number_integer() || json < 0 || json > (1 << 30)) {
    return Error(ErrorCode::kDataCorrupt, fmt::format("{}: not a token id", where));
  }
  return json.get<TokenId>();
}

// ["[SEP]", 102]
Result<TokenId> NamedId(const HfObject& object, std::string_view key) {
  const Json* pair = object.Find(key);
  if (pair == nullptr || !pair->is_array() || pair->size() != 2) {
    return object.Wrong(key, "[token, id]");
  }
  return Id((*pair)[1], object.where() + "." + std::string(key));
}

// The ids of special_tokens[name].
Result<std::vector<TokenId>> TemplateIds(const HfObject& object, const std::string& name) {
  const Json* table = object.Find("special_tokens");
  if (table == nullptr || !table->is_object()) return object.Wrong("special_tokens", "an object");
  const auto entry = table->find(name);
  if (entry == table->end()) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("{}: the template's token '{}' is not in special_tokens",
                             object.where(), name));
  }
  const std::string where = object.where() + ".special_tokens." + name;
  METIER_ASSIGN(const HfObject token, HfObject::From(*entry, where));
  const Json* ids = token.Find("ids");
  if (ids == nullptr || !ids->is_array()) return token.Wrong("ids", "an array of ids");
  std::vector<TokenId> out;
  for (const Json& id : *ids) {
    METIER_ASSIGN(const TokenId value, Id(id, where));
    out.push_back(value);
  }
  return out;
}

// "single": [{"SpecialToken": {"id": "<s>", ...}}, {"Sequence": {"id": "A", ...}}, ...]
Result<PostProcessor> ParseTemplate(const HfObject& object) {
  METIER_ASSIGN(const std::vector<HfObject> pieces, object.Objects("single"));
  PostProcessor post;
  int texts = 0;
  for (const HfObject& piece : pieces) {
    if (const Json* sequence = piece.Find("Sequence")) {
      METIER_ASSIGN(const HfObject text, HfObject::From(*sequence, piece.where() + ".Sequence"));
      METIER_ASSIGN(const std::string id, text.Text("id"));
      if (id != "A") return text.Wrong("id", "A: one text has no B");
      ++texts;
      continue;
    }
    const Json* special = piece.Find("SpecialToken");
    if (special == nullptr) return piece.Wrong("SpecialToken", "SpecialToken or Sequence");
    METIER_ASSIGN(const HfObject token, HfObject::From(*special, piece.where() + ".SpecialToken"));
    METIER_ASSIGN(const std::string id, token.Text("id"));
    METIER_ASSIGN(const std::vector<TokenId> ids, TemplateIds(object, id));
    std::vector<TokenId>& side = texts == 0 ? post.before : post.behind;
    side.insert(side.end(), ids.begin(), ids.end());
  }
  if (texts != 1) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("{}.single: the text stands {} times, only once is supported",
                             object.where(), texts));
  }
  return post;
}

}  // namespace

Result<PostProcessor> ParsePostProcessor(const HfObject& object) {
  METIER_ASSIGN(const std::string type, object.Text("type"));
  if (type == "TemplateProcessing") return ParseTemplate(object);
  if (type == "ByteLevel") return PostProcessor{};  // changes offsets, not ids
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    METIER_ASSIGN(const TokenId cls, NamedId(object, "cls"));
    METIER_ASSIGN(const TokenId sep, NamedId(object, "sep"));
    return PostProcessor{{cls}, {sep}};
  }
  if (type == "Sequence") {
    METIER_ASSIGN(const std::vector<HfObject> parts, object.Objects("processors"));
    PostProcessor all;
    for (const HfObject& part : parts) {  // each wraps what the ones before it made
      METIER_ASSIGN(const PostProcessor one, ParsePostProcessor(part));
      all.before.insert(all.before.begin(), one.before.begin(), one.before.end());
      all.behind.insert(all.behind.end(), one.behind.begin(), one.behind.end());
    }
    return all;
  }
  return object.UnknownType(
      type, "TemplateProcessing, ByteLevel, BertProcessing, RobertaProcessing, Sequence");
}

}  // namespace metier::text
