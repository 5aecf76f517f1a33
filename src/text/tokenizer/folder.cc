// A Hugging Face directory -> a tokenizer: tokenizer.json, or GPT-2's vocab.json + merges.txt.
#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "base/file.h"
#include "text/tokenizer/huggingface.h"
#include "text/tokenizer/pre_tokenizer.h"
#include "text/tokenizer/roles.h"

namespace metier::text {
namespace {

bool Exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

// The document, or null when there is no such file.
Result<Json> ReadIfThere(const std::string& path, const Limits& limits) {
  if (!Exists(path)) return Json(nullptr);
  return ReadJsonFile(path, limits);
}

// merges.txt: one "a b" a line, the first line may be "#version: ...".
Result<Json> ReadMerges(const std::string& path, const Limits& limits) {
  METIER_ASSIGN(const std::string text, ReadFile(path, limits.max_json_bytes));
  Json merges = Json::array();
  std::size_t line = 0;
  for (std::size_t begin = 0; begin < text.size(); ++line) {
    std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) end = text.size();
    std::string merge = text.substr(begin, end - begin);
    begin = end + 1;
    if (!merge.empty() && merge.back() == '\r') merge.pop_back();
    if (merge.empty() || (line == 0 && merge.starts_with("#version"))) continue;
    merges.push_back(std::move(merge));
  }
  return merges;
}

// What tokenizer.json of a GPT-2 model says, around its vocabulary and merges.
Json Gpt2Document(Json vocab, Json merges, bool add_prefix_space) {
  const Json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", add_prefix_space},
                           {"trim_offsets", true},
                           {"use_regex", true}};
  Json model = {{"type", "BPE"}};
  model["vocab"] = std::move(vocab);
  model["merges"] = std::move(merges);
  Json document = {{"version", "1.0"}, {"pre_tokenizer", byte_level}, {"decoder", byte_level}};
  document["model"] = std::move(model);
  return document;
}

Result<Tokenizer> LoadVocabAndMerges(const std::string& folder, HfDocuments documents,
                                     const Limits& limits) {
  Json& config = documents.config;
  METIER_ASSIGN(const RoleNames names, ParseRoleNames(config));
  const std::string& kind = names.tokenizer_class;
  if (!kind.empty() && kind != "GPT2Tokenizer" && kind != "GPT2TokenizerFast") {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("'{}': tokenizer class '{}' from vocab.json and merges.txt; supported "
                             "is GPT2Tokenizer, or a tokenizer.json",
                             folder, kind));
  }
  METIER_ASSIGN(Json vocab, ReadJsonFile(folder + "/vocab.json", limits));
  METIER_ASSIGN(Json merges, ReadMerges(folder + "/merges.txt", limits));
  if (config.is_null()) config = Json::object();
  for (const char* key : {"bos_token", "eos_token", "unk_token"}) {
    if (!config.contains(key)) config[key] = "<|endoftext|>";
  }
  const auto prefix = config.find("add_prefix_space");
  const bool add_prefix_space =
      prefix != config.end() && prefix->is_boolean() && prefix->get<bool>();
  documents.tokenizer = Gpt2Document(std::move(vocab), std::move(merges), add_prefix_space);
  return TokenizerFromDocuments(documents, limits);
}

}  // namespace

Result<Tokenizer> LoadTokenizer(const std::string& folder, const Limits& limits) {
  METIER_ASSIGN(Json config, ReadIfThere(folder + "/tokenizer_config.json", limits));
  METIER_ASSIGN(const Json map, ReadIfThere(folder + "/special_tokens_map.json", limits));
  FillRoles(config, map);
  HfDocuments documents;
  METIER_ASSIGN(documents.generation, ReadIfThere(folder + "/generation_config.json", limits));
  const std::string path = folder + "/tokenizer.json";
  if (Exists(path)) {
    documents.config = std::move(config);
    METIER_ASSIGN(documents.tokenizer, ReadJsonFile(path, limits));
    auto tokenizer = TokenizerFromDocuments(documents, limits);
    if (!tokenizer.ok()) return std::move(tokenizer).error().With("'" + path + "'");
    return tokenizer;
  }
  if (Exists(folder + "/vocab.json") && Exists(folder + "/merges.txt")) {
    documents.config = std::move(config);
    auto tokenizer = LoadVocabAndMerges(folder, std::move(documents), limits);
    if (!tokenizer.ok()) return std::move(tokenizer).error().With("'" + folder + "'");
    return tokenizer;
  }
  return Error(ErrorCode::kNotFound,
               fmt::format("'{}': no tokenizer.json, and no vocab.json with merges.txt", folder));
}

}  // namespace metier::text
