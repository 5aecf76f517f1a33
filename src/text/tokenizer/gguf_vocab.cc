// The vocabulary of a GGUF file -> the same pipeline that tokenizer.json describes.
//
// A GGUF file names a kind of tokenizer and leaves the rest to the reader; what is filled in here
// is what llama.cpp does, which the converters write for.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/json.h"
#include "text/tokenizer/end_of_turn.h"
#include "text/tokenizer/gguf_pre.h"
#include "text/tokenizer/huggingface.h"
#include "text/tokenizer/model_bpe.h"
#include "text/tokenizer/model_unigram.h"
#include "text/tokenizer/model_word.h"
#include "text/tokenizer/pipeline.h"

namespace metier::text {
namespace {

constexpr std::string_view kMark = "\xE2\x96\x81";  // U+2581, the visible space

enum TokenType : std::int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

// Which tokens stand around a text, after the kind's defaults and the file's own word.
struct Frame {
  bool bos = false;
  bool eos = false;
  bool sep = false;
};

class GgufLoader {
 public:
  GgufLoader(GgufVocab vocab, const Limits& limits) : vocab_(std::move(vocab)), limits_(limits) {}

  Result<Tokenizer> Load() {
    METIER_TRY(Check());
    if (vocab_.model == "llama") {
      METIER_TRY(Llama());
    } else if (vocab_.model == "gpt2") {
      METIER_TRY(Gpt2());
    } else if (vocab_.model == "bert") {
      METIER_TRY(Bert());
    } else if (vocab_.model == "t5") {
      METIER_TRY(T5());
    } else {
      return Error(
          ErrorCode::kUnsupported,
          fmt::format("tokenizer.ggml.model '{}': expected llama, gpt2, bert or t5", vocab_.model));
    }
    return Tokenizer::Impl::Create(std::move(parts_));
  }

 private:
  std::size_t size() const { return vocab_.tokens.size(); }
  std::int32_t& TypeOf(std::size_t id) { return vocab_.token_types[id]; }

  Status Check() {
    if (size() == 0 || size() > limits_.max_vocab) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("tokenizer.ggml.tokens: {} tokens, expected 1 to {}", size(),
                               limits_.max_vocab));
    }
    if (!vocab_.scores.empty() && vocab_.scores.size() != size()) {
      return Error(ErrorCode::kDataCorrupt, fmt::format("tokenizer.ggml.scores: {} for {} tokens",
                                                        vocab_.scores.size(), size()));
    }
    for (std::size_t i = 0; i < vocab_.scores.size(); ++i) {
      if (std::isfinite(vocab_.scores[i])) continue;
      return Error(
          ErrorCode::kDataCorrupt,
          fmt::format("tokenizer.ggml.scores: the score of token {} is no finite number", i));
    }
    if (vocab_.token_types.empty()) vocab_.token_types.assign(size(), kNormal);
    if (vocab_.token_types.size() != size()) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("tokenizer.ggml.token_type: {} for {} tokens",
                               vocab_.token_types.size(), size()));
    }
    for (std::size_t i = 0; i < size(); ++i) {
      // Files with nameless tokens exist; each needs a name of its own.
      if (vocab_.tokens[i].empty()) vocab_.tokens[i] = fmt::format("[EMPTY_{}]", i);
    }
    const std::array<std::pair<const char*, TokenId>, 7> roles = {{{"bos", vocab_.bos},
                                                                   {"eos", vocab_.eos},
                                                                   {"eot", vocab_.eot},
                                                                   {"unknown", vocab_.unk},
                                                                   {"padding", vocab_.pad},
                                                                   {"seperator", vocab_.sep},
                                                                   {"cls", vocab_.cls}}};
    for (const auto& role : roles) {
      if (role.second >= -1 && role.second < static_cast<std::int64_t>(size())) continue;
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("tokenizer.ggml.{}_token_id {} is outside of the {} tokens",
                               role.first, role.second, size()));
    }
    return Ok();
  }

  // A role that the file leaves out has the kind's customary id, where there is such a token.
  TokenId Or(TokenId given, TokenId customary) const {
    if (given >= 0) return given;
    return customary < static_cast<std::int64_t>(size()) ? customary : -1;
  }

  // Roles, the tokens that end a turn, and the added tokens; before the names are moved away.
  Status Roles(Frame frame) {
    SpecialTokens& special = parts_.special;
    special = {vocab_.bos, vocab_.eos, vocab_.pad, vocab_.unk, {}};
    if (special.bos < 0) special.bos = vocab_.cls;
    frame.bos = vocab_.add_bos.value_or(frame.bos);
    frame.eos = vocab_.add_eos.value_or(frame.eos);
    frame.sep = vocab_.add_sep.value_or(frame.sep);
    const auto want = [&](bool wanted, TokenId id, const char* role,
                          std::vector<TokenId>& out) -> Status {
      if (!wanted) return Ok();
      if (id < 0) {
        return Error(ErrorCode::kDataCorrupt,
                     fmt::format("tokenizer.ggml: a {} token is to be added, but "
                                 "tokenizer.ggml.{}_token_id is missing",
                                 role, role));
      }
      out.push_back(id);
      return Ok();
    };
    METIER_TRY(want(frame.bos, special.bos, "bos", parts_.post.before));
    METIER_TRY(want(frame.eos, special.eos, "eos", parts_.post.behind));
    METIER_TRY(want(frame.sep, vocab_.sep, "seperator", parts_.post.behind));

    const bool phi3 = IsPhi3();
    for (std::size_t i = 0; i < size(); ++i) {
      const std::string& name = vocab_.tokens[i];
      const auto id = static_cast<TokenId>(i);
      std::int32_t type = TypeOf(i);
      // Converters have marked end-of-turn tokens as ordinary ones: their spelling decides.
      if (EndsTurn(name)) type = kControl;
      if (EndsTurn(name) && id != special.eos) special.end_of_turn.push_back(id);
      if (id == vocab_.eot && id != special.eos && !EndsTurn(name)) {
        special.end_of_turn.push_back(id);
      }
      if (type != kControl && type != kUserDefined && type != kUnknown) continue;
      AddedToken token;
      token.id = id;
      token.content = name;
      token.special = type != kUserDefined;
      token.rstrip = phi3 && name != "<unk>" && name != "<s>" && name != "<|endoftext|>";
      parts_.added.push_back(std::move(token));
    }
    return Ok();
  }

  // Phi-3's added tokens take the white space behind them in; the file has no key for that.
  bool IsPhi3() const {
    std::string lower = vocab_.name;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return lower.find("phi-3") != std::string::npos || lower.find("phi3") != std::string::npos;
  }

  void DecodeMarks() {
    std::vector<DecoderStepPtr> steps;
    steps.push_back(MakeReplaceStep(Regex::Literal(kMark), " "));
    steps.push_back(MakeByteFallbackStep());
    steps.push_back(MakeFuseStep());
    if (prefixed_) steps.push_back(MakeStripStep({" ", 1, 0}));
    parts_.decoder = std::make_unique<Decoder>(std::move(steps));
  }

  Status Llama() {
    vocab_.bos = Or(vocab_.bos, 1);
    vocab_.eos = Or(vocab_.eos, 2);
    vocab_.unk = Or(vocab_.unk, 0);
    METIER_TRY(Roles({.bos = true}));
    prefixed_ = vocab_.add_space_prefix.value_or(true);
    std::vector<NormalizerPtr> normalizers;
    if (prefixed_) normalizers.push_back(MakePrepend(std::string(kMark)));
    normalizers.push_back(MakeReplace(Regex::Literal(" "), std::string(kMark)));
    parts_.normalizer = MakeSequence(std::move(normalizers));
    DecodeMarks();
    if (vocab_.scores.empty()) vocab_.scores.assign(size(), 0.0f);
    BpeOptions options;
    options.byte_fallback = true;
    if (vocab_.unk >= 0) options.unk_token = vocab_.tokens[static_cast<std::size_t>(vocab_.unk)];
    METIER_ASSIGN(Vocab vocab, Vocab::FromList(std::move(vocab_.tokens)));
    METIER_ASSIGN(parts_.model,
                  BpeModel::FromScores(std::move(vocab), vocab_.scores, std::move(options)));
    return Ok();
  }

  Status Gpt2() {
    METIER_ASSIGN(const GgufPreTokenizer pre,
                  FindGgufPreTokenizer(vocab_.pre.empty() ? "default" : vocab_.pre));
    const bool glm = vocab_.pre == "glm4" || vocab_.pre == "chatglm-bpe";
    if (!glm) vocab_.bos = Or(vocab_.bos, 11);
    vocab_.eos = Or(vocab_.eos, 11);
    METIER_TRY(Roles({.bos = pre.add_bos, .sep = pre.add_sep}));
    for (const std::string_view pattern : pre.patterns) {
      METIER_ASSIGN(Regex regex, Regex::Compile(pattern));
      parts_.pre_tokenizers.push_back(
          MakeSplit(std::move(regex), SplitBehavior::kIsolated, SplitMatches::kOfPattern));
    }
    if (vocab_.add_space_prefix.value_or(false)) {
      parts_.pre_tokenizers.insert(parts_.pre_tokenizers.begin(), MakePrefixSpace());
    }
    std::vector<DecoderStepPtr> steps;
    steps.push_back(MakeByteMapStep());
    parts_.decoder = std::make_unique<Decoder>(std::move(steps));

    BpeModel::Merges merges;
    merges.reserve(vocab_.merges.size());
    for (std::size_t i = 0; i < vocab_.merges.size(); ++i) {
      const std::string& merge = vocab_.merges[i];
      const std::size_t space = merge.find(' ', 1);
      if (space == std::string::npos) {
        return Error(
            ErrorCode::kDataCorrupt,
            fmt::format("tokenizer.ggml.merges: merge {} is '{}', expected two tokens with "
                        "a space between",
                        i, merge));
      }
      merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
    }
    if (merges.empty()) {
      return Error(ErrorCode::kDataCorrupt, "tokenizer.ggml.merges is missing");
    }
    BpeOptions options;
    options.byte_level = true;
    options.ignore_merges = pre.ignore_merges;
    METIER_ASSIGN(Vocab vocab, Vocab::FromList(std::move(vocab_.tokens)));
    METIER_ASSIGN(parts_.model, BpeModel::FromMerges(std::move(vocab), merges, std::move(options)));
    return Ok();
  }

  Status Bert() {
    vocab_.bos = Or(vocab_.cls >= 0 ? vocab_.cls : vocab_.bos, 101);
    vocab_.unk = Or(vocab_.unk, 100);
    vocab_.sep = Or(vocab_.sep, 102);
    vocab_.pad = Or(vocab_.pad, 0);
    METIER_TRY(Roles({.bos = true, .sep = true}));
    if (vocab_.unk < 0) {
      return Error(ErrorCode::kDataCorrupt, "tokenizer.ggml.unknown_token_id is missing");
    }
    BertNormalizerOptions normalizer;
    normalizer.accents = Accents::kBaseOnly;
    parts_.normalizer = MakeBertNormalizer(normalizer);
    parts_.pre_tokenizers.push_back(MakeCharSplit(IsWhitespace, SplitBehavior::kRemoved));
    parts_.pre_tokenizers.push_back(MakeCharSplit(IsPunctuation, SplitBehavior::kIsolated));
    WordPieceOptions options;
    options.unk_token = vocab_.tokens[static_cast<std::size_t>(vocab_.unk)];
    options.continuing_prefix = "";
    options.word_prefix = std::string(kMark);
    options.max_chars = -1;
    prefixed_ = true;
    DecodeMarks();
    METIER_ASSIGN(Vocab vocab, Vocab::FromList(std::move(vocab_.tokens)));
    METIER_ASSIGN(parts_.model, WordPieceModel::Create(std::move(vocab), std::move(options)));
    return Ok();
  }

  Status T5() {
    vocab_.eos = Or(vocab_.eos, 1);
    vocab_.unk = Or(vocab_.unk, 2);
    vocab_.pad = Or(vocab_.pad, 0);
    METIER_TRY(Roles({.eos = true}));
    prefixed_ = vocab_.add_space_prefix.value_or(true);
    SentencePieceNormalizerOptions normalizer;
    normalizer.charsmap = std::move(vocab_.precompiled_charsmap);
    normalizer.add_space_prefix = prefixed_;
    normalizer.remove_extra_whitespaces = vocab_.remove_extra_whitespaces.value_or(false);
    UnigramOptions options;
    options.unk = vocab_.unk;
    std::vector<double> scores(size());
    for (std::size_t i = 0; i < size(); ++i) {
      const std::int32_t type = TypeOf(i);
      if (!vocab_.scores.empty()) scores[i] = vocab_.scores[i];
      if (type == kUserDefined) {
        scores[i] = 0.0;  // so that they win over the (negative) scores of others
        normalizer.user_defined.push_back(vocab_.tokens[i]);
      }
      options.matchable.push_back(type == kNormal || type == kUserDefined || type == kUnused);
      options.scored.push_back(type == kNormal);
    }
    METIER_ASSIGN(parts_.normalizer, MakeSentencePieceNormalizer(normalizer));
    DecodeMarks();
    METIER_ASSIGN(Vocab vocab, Vocab::FromList(std::move(vocab_.tokens)));
    METIER_ASSIGN(parts_.model,
                  UnigramModel::Create(std::move(vocab), std::move(scores), std::move(options)));
    return Ok();
  }

  GgufVocab vocab_;
  const Limits& limits_;
  TokenizerParts parts_;
  bool prefixed_ = false;
};

// tokenizer.huggingface.json: a whole tokenizer.json; the roles are those of the GGUF file.
Result<Tokenizer> FromEmbedded(const GgufVocab& vocab, const Limits& limits) {
  HfDocuments documents;
  METIER_ASSIGN(documents.tokenizer, ParseJson(vocab.huggingface_json, limits));
  documents.generation = Json::object();
  documents.config = Json::object();
  if (vocab.bos >= 0) documents.generation["bos_token_id"] = vocab.bos;
  Json ends = Json::array();
  if (vocab.eos >= 0) ends.push_back(vocab.eos);
  if (vocab.eot >= 0) ends.push_back(vocab.eot);
  documents.generation["eos_token_id"] = std::move(ends);
  const auto size = static_cast<TokenId>(vocab.tokens.size());
  if (vocab.pad >= 0 && vocab.pad < size) {
    documents.config["pad_token"] = vocab.tokens[static_cast<std::size_t>(vocab.pad)];
  }
  return TokenizerFromDocuments(documents, limits);
}

}  // namespace

Result<Tokenizer> TokenizerFromGguf(GgufVocab vocab, const Limits& limits) {
  auto tokenizer = vocab.huggingface_json.empty() ? GgufLoader(std::move(vocab), limits).Load()
                                                  : FromEmbedded(vocab, limits);
  if (!tokenizer.ok()) return std::move(tokenizer).error().With("GGUF vocabulary");
  return tokenizer;
}

}  // namespace metier::text
