#include "text/tokenizer/huggingface.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "text/tokenizer/end_of_turn.h"
#include "text/tokenizer/hf_components.h"
#include "text/tokenizer/pipeline.h"
#include "text/tokenizer/roles.h"

namespace metier::text {
namespace {

class JsonLoader {
 public:
  JsonLoader(const HfObject& root, const HfDocuments& documents, const Limits& limits)
      : root_(root),
        config_(documents.config),
        generation_(documents.generation),
        limits_(limits) {}

  Result<Tokenizer> Load() {
    METIER_ASSIGN(const std::string version, root_.TextOr("version", "1.0"));
    if (version != "1.0") {
      return Error(ErrorCode::kUnsupported,
                   fmt::format("tokenizer.json: version '{}', expected 1.0", version));
    }
    // "truncation" and "padding" are requests of whoever saved the file; cutting and filling up is
    // up to our callers.
    METIER_TRY(Components());
    METIER_TRY(AddedTokens());
    METIER_ASSIGN(names_, ParseRoleNames(config_));
    METIER_TRY(ConfigTokens());
    METIER_TRY(Roles());
    METIER_TRY(GenerationRoles());
    return Tokenizer::Impl::Create(std::move(parts_));
  }

 private:
  // Calls parse(section) when the section is there and not null.
  template <class Parse>
  Status Section(const char* key, Parse&& parse) {
    const Json* json = root_.Find(key);
    if (json == nullptr) return Ok();
    METIER_ASSIGN(const HfObject object, HfObject::From(*json, key));
    return parse(object);
  }

  Status Components() {
    METIER_TRY(Section("normalizer", [&](const HfObject& object) -> Status {
      METIER_ASSIGN(parts_.normalizer, ParseNormalizer(object));
      return Ok();
    }));
    ParsedPreTokenizer pre;
    METIER_TRY(Section("pre_tokenizer", [&](const HfObject& object) -> Status {
      METIER_ASSIGN(pre, ParsePreTokenizer(object));
      return Ok();
    }));
    const Json* model_json = root_.Find("model");
    if (model_json == nullptr) return root_.Wrong("model", "an object");
    METIER_ASSIGN(const HfObject model_object, HfObject::From(*model_json, "model"));
    METIER_ASSIGN(
        ParsedModel model,
        ParseModel(model_object, pre.ends_with_byte_map ? BytesWanted::kYes : BytesWanted::kNo,
                   limits_));
    if (model.takes_bytes) pre.stages.pop_back();  // the byte map; the model looks bytes up itself
    parts_.model = std::move(model.model);
    parts_.pre_tokenizers = std::move(pre.stages);
    unk_token_ = std::move(model.unk_token);
    METIER_TRY(Section("post_processor", [&](const HfObject& object) -> Status {
      METIER_ASSIGN(parts_.post, ParsePostProcessor(object));
      return Ok();
    }));
    std::vector<DecoderStepPtr> steps;
    METIER_TRY(Section("decoder", [&](const HfObject& object) -> Status {
      METIER_ASSIGN(steps, ParseDecoder(object));
      return Ok();
    }));
    if (root_.Find("decoder") == nullptr) steps.push_back(MakeJoinWithSpacesStep());
    parts_.decoder = std::make_unique<Decoder>(std::move(steps));
    return Ok();
  }

  Result<AddedToken> ParseAdded(const HfObject& object) {
    AddedToken token;
    METIER_ASSIGN(token.content, object.Text("content"));
    METIER_ASSIGN(token.single_word, object.BoolOr("single_word", false));
    METIER_ASSIGN(token.lstrip, object.BoolOr("lstrip", false));
    METIER_ASSIGN(token.rstrip, object.BoolOr("rstrip", false));
    METIER_ASSIGN(token.special, object.BoolOr("special", false));
    METIER_ASSIGN(token.normalized, object.BoolOr("normalized", !token.special));
    if (token.content.empty()) return object.Wrong("content", "a text that is not empty");
    return token;
  }

  Status AddToken(AddedToken token) {
    if (token.id < 0 || token.id >= static_cast<std::int64_t>(limits_.max_vocab)) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("added token '{}': id {}, expected 0 to {}", token.content, token.id,
                               limits_.max_vocab - 1));
    }
    contents_.insert(token.content);
    ids_.insert(token.id);
    parts_.added.push_back(std::move(token));
    return Ok();
  }

  Status AddedTokens() {
    if (root_.Find("added_tokens") == nullptr) return Ok();
    METIER_ASSIGN(const std::vector<HfObject> objects, root_.Objects("added_tokens"));
    for (const HfObject& object : objects) {
      METIER_ASSIGN(AddedToken token, ParseAdded(object));
      METIER_ASSIGN(const std::int64_t id, object.IntOr("id", -1));
      token.id = static_cast<TokenId>(std::min<std::int64_t>(id, 1 << 30));
      METIER_TRY(AddToken(std::move(token)));
    }
    return Ok();
  }

  // Tokens that only tokenizer_config.json knows: its added_tokens_decoder, and tokens with a role,
  // which are control tokens even where tokenizer.json has them as ordinary ones.
  Status ConfigTokens() {
    if (!config_.is_null()) {
      METIER_ASSIGN(const HfObject config, HfObject::From(config_, "tokenizer_config"));
      if (const Json* decoder = config.Find("added_tokens_decoder");
          decoder != nullptr && decoder->is_object()) {
        for (const auto& item : decoder->get_ref<const Json::object_t&>()) {
          METIER_TRY(DecoderEntry(item.first, item.second));
        }
      }
    }
    for (const std::string* name : {&names_.bos, &names_.eos, &names_.unk, &names_.pad}) {
      const TokenId id = parts_.model->vocab().Find(*name);
      if (name->empty() || id < 0 || contents_.count(*name) > 0 || ids_.count(id) > 0) continue;
      AddedToken token;
      token.id = id;
      token.content = *name;
      token.special = true;
      METIER_TRY(AddToken(std::move(token)));
    }
    return Ok();
  }

  Status DecoderEntry(const std::string& key, const Json& json) {
    const std::string where = "tokenizer_config.added_tokens_decoder." + key;
    METIER_ASSIGN(const HfObject object, HfObject::From(json, where));
    METIER_ASSIGN(AddedToken token, ParseAdded(object));
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token.id);
    if (error != std::errc() || end != key.data() + key.size()) {
      return Error(ErrorCode::kDataCorrupt, fmt::format("{}: the key is not an id", where));
    }
    if (contents_.count(token.content) > 0 || ids_.count(token.id) > 0) return Ok();
    return AddToken(std::move(token));
  }

  TokenId Find(const std::string& name) const {
    if (name.empty()) return -1;
    for (const AddedToken& token : parts_.added) {
      if (token.content == name) return token.id;
    }
    return parts_.model->vocab().Find(name);
  }

  Status Roles() {
    SpecialTokens& special = parts_.special;
    special.bos = Find(names_.bos);
    special.eos = Find(names_.eos);
    special.pad = Find(names_.pad);
    special.unk = Find(names_.unk.empty() ? unk_token_ : names_.unk);
    for (const AddedToken& token : parts_.added) {
      if (token.special && EndsTurn(token.content) && token.id != special.eos) {
        special.end_of_turn.push_back(token.id);
      }
    }
    // The Llama-like classes of transformers replace the post-processor by what the config says.
    static constexpr std::string_view kReplacing[] = {
        "LlamaTokenizer",         "LlamaTokenizerFast", "CodeLlamaTokenizer",
        "CodeLlamaTokenizerFast", "GemmaTokenizer",     "GemmaTokenizerFast"};
    const bool replaces = std::find(std::begin(kReplacing), std::end(kReplacing),
                                    names_.tokenizer_class) != std::end(kReplacing);
    if (!replaces) return Ok();
    const auto set = [&](std::optional<bool> wanted, TokenId id, std::vector<TokenId>& side) {
      if (wanted.has_value() && id >= 0) {
        side = *wanted ? std::vector<TokenId>{id} : std::vector<TokenId>{};
      }
    };
    set(names_.add_bos, special.bos, parts_.post.before);
    set(names_.add_eos, special.eos, parts_.post.behind);
    return Ok();
  }

  // "eos_token_id": an id or a list of them; "bos_token_id" where nothing else names a BOS.
  Status GenerationRoles() {
    if (generation_.is_null()) return Ok();
    METIER_ASSIGN(const HfObject generation, HfObject::From(generation_, "generation_config"));
    SpecialTokens& special = parts_.special;
    const auto take = [&](const Json* json, const auto& use) -> Status {
      if (json == nullptr) return Ok();
      if (!json->is_number_integer() || *json < 0 || *json >= limits_.max_vocab) {
        return Error(ErrorCode::kDataCorrupt,
                     fmt::format("generation_config: {} is not a token id", DumpCompact(*json)));
      }
      use(json->get<TokenId>());
      return Ok();
    };
    const auto end = [&](TokenId id) {
      if (special.eos < 0) special.eos = id;
      std::vector<TokenId>& more = special.end_of_turn;
      if (id != special.eos && std::find(more.begin(), more.end(), id) == more.end()) {
        more.push_back(id);
      }
    };
    const Json* eos = generation.Find("eos_token_id");
    if (eos != nullptr && eos->is_array()) {
      for (const Json& id : *eos) METIER_TRY(take(&id, end));
    } else {
      METIER_TRY(take(eos, end));
    }
    return take(generation.Find("bos_token_id"), [&](TokenId id) {
      if (special.bos < 0) special.bos = id;
    });
  }

  const HfObject& root_;
  const Json& config_;
  const Json& generation_;
  const Limits& limits_;
  RoleNames names_;
  std::string unk_token_;
  std::set<std::string> contents_;
  std::set<TokenId> ids_;
  TokenizerParts parts_;
};

}  // namespace

Result<Tokenizer> TokenizerFromDocuments(const HfDocuments& documents, const Limits& limits) {
  METIER_ASSIGN(const HfObject root, HfObject::From(documents.tokenizer, "tokenizer.json"));
  return JsonLoader(root, documents, limits).Load();
}

Result<Tokenizer> TokenizerFromJson(const Json& tokenizer, const Json& config,
                                    const Limits& limits) {
  return TokenizerFromDocuments({tokenizer, config, nullptr}, limits);
}

}  // namespace metier::text
