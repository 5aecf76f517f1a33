#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "text/tokenizer/hf_components.h"
#include "text/tokenizer/model_bpe.h"
#include "text/tokenizer/model_unigram.h"
#include "text/tokenizer/model_word.h"

namespace metier::text {
namespace {

// {"token": id, ...}
Result<Vocab> ParseVocab(const HfObject& object, const Limits& limits) {
  const Json* json = object.Find("vocab");
  if (json == nullptr || !json->is_object()) return object.Wrong("vocab", "an object of ids");
  if (json->size() > limits.max_vocab) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("{}.vocab: {} tokens, limit {}", object.where(), json->size(),
                             limits.max_vocab));
  }
  std::vector<std::pair<std::string, std::int64_t>> tokens;
  tokens.reserve(json->size());
  for (const auto& item : json->get_ref<const Json::object_t&>()) {
    if (!item.second.is_number_integer()) {
      return Error(ErrorCode::kDataCorrupt, fmt::format("{}.vocab: the id of '{}' is no number",
                                                        object.where(), item.first));
    }
    tokens.emplace_back(item.first, item.second.get<std::int64_t>());
  }
  auto vocab = Vocab::FromPairs(std::move(tokens), limits);
  if (!vocab.ok()) return std::move(vocab).error().With(object.where());
  return vocab;
}

// "a b", or ["a", "b"].
Result<BpeModel::Merges> ParseMerges(const HfObject& object) {
  const Json* json = object.Find("merges");
  if (json == nullptr || !json->is_array()) return object.Wrong("merges", "an array");
  BpeModel::Merges merges;
  merges.reserve(json->size());
  for (const Json& merge : *json) {
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      merges.emplace_back(merge[0].get_ref<const std::string&>(),
                          merge[1].get_ref<const std::string&>());
      continue;
    }
    if (merge.is_string()) {
      const auto& text = merge.get_ref<const std::string&>();
      const std::size_t space = text.find(' ');
      if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
        merges.emplace_back(text.substr(0, space), text.substr(space + 1));
        continue;
      }
    }
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("{}.merges[{}]: expected \"a b\" or [\"a\", \"b\"]", object.where(),
                             merges.size()));
  }
  return merges;
}

Result<ParsedModel> ParseBpe(const HfObject& object, BytesWanted bytes, const Limits& limits) {
  const Json* dropout = object.Find("dropout");
  if (dropout != nullptr && (!dropout->is_number() || dropout->get<double>() != 0.0)) {
    return Error(
        ErrorCode::kUnsupported,
        fmt::format("{}.dropout: only null or 0: encoding is deterministic here", object.where()));
  }
  ParsedModel parsed;
  BpeOptions options;
  METIER_ASSIGN(options.unk_token, object.TextOr("unk_token", ""));
  METIER_ASSIGN(options.continuing_subword_prefix, object.TextOr("continuing_subword_prefix", ""));
  METIER_ASSIGN(options.end_of_word_suffix, object.TextOr("end_of_word_suffix", ""));
  METIER_ASSIGN(options.fuse_unk, object.BoolOr("fuse_unk", false));
  METIER_ASSIGN(options.byte_fallback, object.BoolOr("byte_fallback", false));
  METIER_ASSIGN(options.ignore_merges, object.BoolOr("ignore_merges", false));
  options.byte_level = bytes == BytesWanted::kYes && !options.byte_fallback &&
                       options.continuing_subword_prefix.empty() &&
                       options.end_of_word_suffix.empty();
  parsed.takes_bytes = options.byte_level;
  parsed.unk_token = options.unk_token;
  METIER_ASSIGN(Vocab vocab, ParseVocab(object, limits));
  // An unknown token that is no token is an error only of the texts that need it; none can be
  // encoded then, so such characters vanish.
  if (vocab.Find(options.unk_token) < 0) options.unk_token.clear();
  METIER_ASSIGN(const BpeModel::Merges merges, ParseMerges(object));
  auto model = BpeModel::FromMerges(std::move(vocab), merges, std::move(options));
  if (!model.ok()) return std::move(model).error().With(object.where());
  parsed.model = std::move(model).value();
  return parsed;
}

Result<ParsedModel> ParseUnigram(const HfObject& object, const Limits& limits) {
  const Json* json = object.Find("vocab");
  if (json == nullptr || !json->is_array() || json->size() > limits.max_vocab) {
    return object.Wrong("vocab",
                        fmt::format("an array of at most {} [token, score]", limits.max_vocab));
  }
  std::vector<std::string> names;
  std::vector<double> scores;
  for (const Json& entry : *json) {
    const bool pair =
        entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_number();
    if (!pair) {
      return Error(ErrorCode::kDataCorrupt, fmt::format("{}.vocab[{}]: expected [token, score]",
                                                        object.where(), names.size()));
    }
    names.push_back(entry[0].get_ref<const std::string&>());
    scores.push_back(entry[1].get<double>());
  }
  UnigramOptions options;
  METIER_ASSIGN(const std::int64_t unk, object.IntOr("unk_id", -1));
  if (unk >= static_cast<std::int64_t>(names.size())) {
    return object.Wrong("unk_id", fmt::format("an id below {}", names.size()));
  }
  options.unk = static_cast<TokenId>(unk);
  METIER_ASSIGN(options.byte_fallback, object.BoolOr("byte_fallback", false));
  ParsedModel parsed;
  if (unk >= 0) parsed.unk_token = names[static_cast<std::size_t>(unk)];
  METIER_ASSIGN(Vocab vocab, Vocab::FromList(std::move(names)));
  auto model = UnigramModel::Create(std::move(vocab), std::move(scores), std::move(options));
  if (!model.ok()) return std::move(model).error().With(object.where());
  parsed.model = std::move(model).value();
  return parsed;
}

Result<ParsedModel> ParseWordPiece(const HfObject& object, const Limits& limits) {
  WordPieceOptions options;
  METIER_ASSIGN(options.unk_token, object.TextOr("unk_token", "[UNK]"));
  METIER_ASSIGN(options.continuing_prefix, object.TextOr("continuing_subword_prefix", "##"));
  METIER_ASSIGN(options.max_chars, object.IntOr("max_input_chars_per_word", 100));
  ParsedModel parsed;
  parsed.unk_token = options.unk_token;
  METIER_ASSIGN(Vocab vocab, ParseVocab(object, limits));
  auto model = WordPieceModel::Create(std::move(vocab), std::move(options));
  if (!model.ok()) return std::move(model).error().With(object.where());
  parsed.model = std::move(model).value();
  return parsed;
}

Result<ParsedModel> ParseWordLevel(const HfObject& object, const Limits& limits) {
  ParsedModel parsed;
  METIER_ASSIGN(parsed.unk_token, object.TextOr("unk_token", "<unk>"));
  METIER_ASSIGN(Vocab vocab, ParseVocab(object, limits));
  parsed.model = std::make_unique<WordLevelModel>(std::move(vocab), parsed.unk_token);
  return parsed;
}

// Files of early versions have no "type": the fields tell.
Result<std::string> ModelType(const HfObject& object) {
  if (object.Find("type") != nullptr) return object.Text("type");
  if (object.Find("merges") != nullptr) return std::string("BPE");
  if (object.Find("continuing_subword_prefix") != nullptr) return std::string("WordPiece");
  const Json* vocab = object.Find("vocab");
  return std::string(vocab != nullptr && vocab->is_array() ? "Unigram" : "WordLevel");
}

}  // namespace

Result<ParsedModel> ParseModel(const HfObject& object, BytesWanted bytes, const Limits& limits) {
  METIER_ASSIGN(const std::string type, ModelType(object));
  if (type == "BPE") return ParseBpe(object, bytes, limits);
  if (type == "Unigram") return ParseUnigram(object, limits);
  if (type == "WordPiece") return ParseWordPiece(object, limits);
  if (type == "WordLevel") return ParseWordLevel(object, limits);
  return object.UnknownType(type, "BPE, Unigram, WordPiece, WordLevel");
}

}  // namespace metier::text
