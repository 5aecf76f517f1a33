#include "model/gguf_vocab.h"

#include <fmt/format.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace metier::model {
namespace {

const std::string kPrefix = "tokenizer.ggml.";

// Copies the array under the key, if there is one, element by element. An empty array has no kind.
template <class From, class To>
Status CopyArray(const format::GgufFile& file, const std::string& key, std::vector<To>& out) {
  const format::GgufValue* value = file.Metadata(kPrefix + key);
  if (value == nullptr) return Ok();
  if (const auto* array = std::get_if<std::vector<From>>(value)) {
    out.reserve(array->size());
    for (const From& element : *array) out.push_back(static_cast<To>(element));
    return Ok();
  }
  return Error(ErrorCode::kDataCorrupt,
               fmt::format("{}{}: not an array of the expected kind", kPrefix, key));
}

Status CopyId(const format::GgufFile& file, const std::string& key, text::TokenId& out) {
  METIER_ASSIGN(const std::int64_t id, file.IntOr(kPrefix + key, -1));
  // Some writers put the unsigned form of -1 there for "none".
  if (id == -1 || id == std::numeric_limits<std::uint32_t>::max()) return Ok();
  if (id < 0 || id > std::numeric_limits<text::TokenId>::max()) {
    return Error(ErrorCode::kDataCorrupt, fmt::format("{}{}: {} is no token", kPrefix, key, id));
  }
  out = static_cast<text::TokenId>(id);
  return Ok();
}

Status CopyFlag(const format::GgufFile& file, const std::string& key, std::optional<bool>& out) {
  if (file.Metadata(kPrefix + key) == nullptr) return Ok();
  METIER_ASSIGN(out, file.BoolOr(kPrefix + key, false));
  return Ok();
}

}  // namespace

Result<text::GgufVocab> ReadGgufVocab(const format::GgufFile& file) {
  text::GgufVocab vocab;
  METIER_ASSIGN(vocab.model, file.TextOr(kPrefix + "model", ""));
  METIER_ASSIGN(vocab.huggingface_json, file.TextOr("tokenizer.huggingface.json", ""));
  const bool none = vocab.model.empty() || vocab.model == "no_vocab" || vocab.model == "none";
  if (none && vocab.huggingface_json.empty()) {
    return Error(ErrorCode::kNotFound,
                 fmt::format("the file has no vocabulary (tokenizer.ggml.model is '{}'); give the "
                             "folder of a tokenizer",
                             vocab.model));
  }
  METIER_ASSIGN(vocab.name, file.TextOr("general.name", ""));
  METIER_ASSIGN(vocab.pre, file.TextOr(kPrefix + "pre", ""));
  METIER_TRY((CopyArray<std::string, std::string>(file, "tokens", vocab.tokens)));
  METIER_TRY((CopyArray<double, float>(file, "scores", vocab.scores)));
  METIER_TRY((CopyArray<std::int64_t, std::int32_t>(file, "token_type", vocab.token_types)));
  METIER_TRY((CopyArray<std::string, std::string>(file, "merges", vocab.merges)));
  std::vector<unsigned char> charsmap;
  METIER_TRY((CopyArray<std::int64_t, unsigned char>(file, "precompiled_charsmap", charsmap)));
  vocab.precompiled_charsmap.assign(charsmap.begin(), charsmap.end());
  METIER_TRY(CopyId(file, "bos_token_id", vocab.bos));
  METIER_TRY(CopyId(file, "eos_token_id", vocab.eos));
  METIER_TRY(CopyId(file, "eot_token_id", vocab.eot));
  METIER_TRY(CopyId(file, "unknown_token_id", vocab.unk));
  METIER_TRY(CopyId(file, "padding_token_id", vocab.pad));
  METIER_TRY(CopyId(file, "seperator_token_id", vocab.sep));  // the format's own spelling
  METIER_TRY(CopyId(file, "cls_token_id", vocab.cls));
  METIER_TRY(CopyFlag(file, "add_bos_token", vocab.add_bos));
  METIER_TRY(CopyFlag(file, "add_eos_token", vocab.add_eos));
  METIER_TRY(CopyFlag(file, "add_sep_token", vocab.add_sep));
  METIER_TRY(CopyFlag(file, "add_space_prefix", vocab.add_space_prefix));
  METIER_TRY(CopyFlag(file, "remove_extra_whitespaces", vocab.remove_extra_whitespaces));
  return vocab;
}

Result<text::Tokenizer> LoadGgufTokenizer(const format::GgufFile& file, const Limits& limits) {
  METIER_ASSIGN(text::GgufVocab vocab, ReadGgufVocab(file));
  return text::TokenizerFromGguf(std::move(vocab), limits);
}

}  // namespace metier::model
