// Names and patterns are facts of the published models: the pattern stands in each model's
// tokenizer.json, the name is what the GGUF converters write for it.
#include "text/tokenizer/gguf_pre.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <vector>

#include "base/nearest.h"

namespace metier::text {
namespace {

#define METIER_CONTRACTIONS R"((?i:'s|'t|'re|'ve|'m|'ll|'d))"
#define METIER_SPACES R"(\s*[\r\n]+|\s+(?!\S)|\s+)"
#define METIER_GPT2 R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"
// Upper-case run, then lower-case run (Tekken, GPT-4o): the two halves of their word pattern.
#define METIER_CAMEL_LOWER \
  R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
#define METIER_CAMEL_UPPER \
  R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"

using Patterns = std::string_view;

constexpr std::array<Patterns, 1> kGpt2 = {METIER_GPT2};
constexpr std::array<Patterns, 1> kLlama3 = {
    METIER_CONTRACTIONS
    R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" METIER_SPACES};
constexpr std::array<Patterns, 1> kQwen2 = {
    METIER_CONTRACTIONS
    R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" METIER_SPACES};
constexpr std::array<Patterns, 1> kQwen35 = {
    METIER_CONTRACTIONS
    R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|)" METIER_SPACES};
constexpr std::array<Patterns, 1> kSeedCoder = {
    METIER_CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|)" METIER_SPACES};
constexpr std::array<Patterns, 1> kBailing = {
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)"};
constexpr std::array<Patterns, 2> kMiniCpm5 = {
    R"(\p{N}{1,3})", METIER_CONTRACTIONS
    R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|)" METIER_SPACES};
constexpr std::array<Patterns, 2> kDigitThenGpt2 = {R"(\p{N})", METIER_GPT2};
constexpr std::array<Patterns, 3> kFalcon = {R"([\p{P}\$\+<=>\^~\|`]+)", METIER_GPT2,
                                             R"([0-9][0-9][0-9])"};
constexpr std::array<Patterns, 4> kDefault = {R"([\p{P}\$\+<=>\^~\|]+)", METIER_GPT2, R"(\p{N}+)",
                                              R"([0-9][0-9][0-9])"};
constexpr std::array<Patterns, 1> kBloom = {R"( ?[^(\s|.,!?…。，、।۔،)]+)"};
constexpr std::array<Patterns, 2> kViking = {R"( ?[^(\s|.,!?…。，、।۔،)]+)", R"(\p{N})"};
constexpr std::array<Patterns, 1> kTekken = {METIER_CAMEL_LOWER
                                             "|" METIER_CAMEL_UPPER
                                             R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" METIER_SPACES};
constexpr std::array<Patterns, 1> kGpt4o = {
    METIER_CAMEL_LOWER METIER_CONTRACTIONS
    "?|" METIER_CAMEL_UPPER METIER_CONTRACTIONS
    R"(?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" METIER_SPACES};
constexpr std::array<Patterns, 6> kDeepSeekLlm = {
    R"([\r\n])",
    R"(\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+)",
    R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)",
    R"(\s+$)",
    R"([一-龥ࠀ-一가-퟿]+)",
    R"(\p{N}+)"};
constexpr std::array<Patterns, 5> kDeepSeekCoder = {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)",
                                                    R"([一-龥ࠀ-一가-퟿]+)", R"(\p{N})"};
constexpr std::array<Patterns, 3> kDeepSeekV3 = {
    R"(\p{N}{1,3})", R"([一-龥぀-ゟ゠-ヿ]+)",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|)" METIER_SPACES};

#undef METIER_CONTRACTIONS
#undef METIER_SPACES
#undef METIER_GPT2
#undef METIER_CAMEL_LOWER
#undef METIER_CAMEL_UPPER

struct Row {
  std::string_view name;
  GgufPreTokenizer pre;
};

constexpr GgufPreTokenizer Plain(std::span<const Patterns> patterns) { return {patterns}; }
constexpr GgufPreTokenizer WholeWords(std::span<const Patterns> patterns) {
  return {patterns, /*ignore_merges=*/true, /*add_bos=*/true};
}
constexpr GgufPreTokenizer WithSep(std::span<const Patterns> patterns) {
  return {patterns, false, false, /*add_sep=*/true};
}

constexpr Row kRows[] = {
    {"default", Plain(kDefault)},
    {"gpt-2", Plain(kGpt2)},
    {"gpt2", Plain(kGpt2)},
    {"phi-2", Plain(kGpt2)},
    {"jina-es", Plain(kGpt2)},
    {"jina-de", Plain(kGpt2)},
    {"jina-v2-es", Plain(kGpt2)},
    {"jina-v2-de", Plain(kGpt2)},
    {"jina-v1-en", WithSep(kGpt2)},
    {"jina-v2-code", WithSep(kGpt2)},
    {"roberta-bpe", WithSep(kGpt2)},
    {"gigachat", Plain(kGpt2)},
    {"a.x-4.0", Plain(kGpt2)},
    {"mellum", Plain(kGpt2)},
    {"modern-bert", Plain(kGpt2)},
    {"mpt", Plain(kGpt2)},
    {"olmo", Plain(kGpt2)},
    {"jais", Plain(kGpt2)},
    {"trillion", Plain(kGpt2)},
    {"granite-docling", Plain(kGpt2)},
    {"exaone4", Plain(kGpt2)},
    {"llama-bpe", WholeWords(kLlama3)},
    {"llama3", WholeWords(kLlama3)},
    {"llama-v3", WholeWords(kLlama3)},
    {"falcon3", WholeWords(kLlama3)},
    {"falcon-h1", WholeWords(kLlama3)},
    {"pixtral", WholeWords(kLlama3)},
    {"midm-2.0", WholeWords(kLlama3)},
    {"lfm2", WholeWords(kLlama3)},
    {"jina-v5-nano", WholeWords(kLlama3)},
    {"tekken", WholeWords(kTekken)},
    {"dbrx", Plain(kLlama3)},
    {"smaug-bpe", Plain(kLlama3)},
    {"glm4", Plain(kLlama3)},
    {"chatglm-bpe", Plain(kLlama3)},
    {"qwen2", Plain(kQwen2)},
    {"deepseek-r1-qwen", Plain(kQwen2)},
    {"kormo", Plain(kQwen2)},
    {"f2llmv2", Plain(kQwen2)},
    {"megrez", Plain(kQwen2)},
    {"stablelm2", Plain(kQwen2)},
    {"hunyuan", Plain(kQwen2)},
    {"solar-open", Plain(kQwen2)},
    {"grok-2", Plain(kQwen2)},
    {"qwen35", Plain(kQwen35)},
    {"seed-coder", Plain(kSeedCoder)},
    {"bailingmoe", Plain(kBailing)},
    {"bailingmoe2", Plain(kBailing)},
    {"llada-moe", Plain(kBailing)},
    {"minicpm5", {kMiniCpm5, /*ignore_merges=*/true}},
    {"starcoder", Plain(kDigitThenGpt2)},
    {"refact", Plain(kDigitThenGpt2)},
    {"command-r", Plain(kDigitThenGpt2)},
    {"smollm", Plain(kDigitThenGpt2)},
    {"codeshell", Plain(kDigitThenGpt2)},
    {"exaone", Plain(kDigitThenGpt2)},
    {"minerva-7b", Plain(kDigitThenGpt2)},
    {"mellum2", Plain(kDigitThenGpt2)},
    {"falcon", Plain(kFalcon)},
    {"bloom", Plain(kBloom)},
    {"poro-chat", Plain(kBloom)},
    {"gpt3-finnish", Plain(kBloom)},
    {"viking", Plain(kViking)},
    {"gpt-4o", Plain(kGpt4o)},
    {"llama4", Plain(kGpt4o)},
    {"kanana2", Plain(kGpt4o)},
    {"talkie", Plain(kGpt4o)},
    {"minimax-m2", Plain(kGpt4o)},
    {"deepseek-llm", Plain(kDeepSeekLlm)},
    {"deepseek-coder", Plain(kDeepSeekCoder)},
    {"deepseek-v3", Plain(kDeepSeekV3)},
    {"hunyuan-dense", Plain(kDeepSeekV3)},
    {"hy_v4", Plain(kDeepSeekV3)},
    {"joyai-llm", Plain(kDeepSeekV3)},
};

}  // namespace

Result<GgufPreTokenizer> FindGgufPreTokenizer(std::string_view name) {
  std::vector<std::string> known;
  for (const Row& row : kRows) {
    if (row.name == name) return row.pre;
    known.emplace_back(row.name);
  }
  const std::string nearest = NearestName(name, known);
  return Error(ErrorCode::kUnsupported,
               fmt::format("tokenizer.ggml.pre '{}' is not known{}", name,
                           nearest.empty() ? "" : fmt::format(" (did you mean '{}'?)", nearest)));
}

}  // namespace metier::text
