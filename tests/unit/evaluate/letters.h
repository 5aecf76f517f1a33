// A model whose probabilities are known in closed form, and a tokenizer of letters.
#pragma once

#include <cmath>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "evaluate/language_model.h"
#include "text/tokenizer.h"

namespace metier::evaluate {

// Depends on every token before and the distance from the window's start, so that any mistake in
// windows shows.
class PositionalModel : public LanguageModel {
 public:
  explicit PositionalModel(std::int64_t max_tokens) : max_tokens_(max_tokens) {}
  std::int64_t MaxTokens() const override { return max_tokens_; }

  static double LogProb(std::span<const text::TokenId> tokens, std::size_t i) {
    double sum = 0;
    for (std::size_t j = 0; j < i; ++j)
      sum += static_cast<double>(tokens[j]) / static_cast<double>(i - j);
    return -std::log(2.0 + std::fmod(sum + tokens[i], 7.0));
  }

  Result<std::vector<double>> LogProbs(std::span<const text::TokenId> tokens,
                                       std::size_t first) override {
    std::vector<double> out;
    for (std::size_t i = first; i < tokens.size(); ++i) out.push_back(LogProb(tokens, i));
    return out;
  }
  Result<std::vector<std::vector<text::TokenId>>> Greedy(std::span<const Prompt> prompts,
                                                         std::int64_t,
                                                         std::span<const text::TokenId>) override {
    return std::vector<std::vector<text::TokenId>>(prompts.size());
  }

 private:
  std::int64_t max_tokens_;
};

// One token a letter, byte-level, without merges.
inline text::Tokenizer LetterTokenizer() {
  Json vocab = Json::object();
  for (int i = 0; i < 16; ++i) vocab[std::string(1, static_cast<char>('a' + i))] = i;
  vocab["\xC4\xA0"] = 16;  // the space in the byte alphabet
  vocab["<s>"] = 17;
  const Json document = {
      {"version", "1.0"},
      {"added_tokens", Json::array({{{"id", 17}, {"content", "<s>"}, {"special", true}}})},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}}};
  auto tokenizer = text::TokenizerFromJson(document, {{"bos_token", "<s>"}});
  return std::move(tokenizer).value();
}

}  // namespace metier::evaluate
